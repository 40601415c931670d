// A promise of the wasm is never settled once a trap has ended that wasm, and whoever waits for it would wait
// for ever. Plain JavaScript outlives the wasm, so it looks after what takes longer than a moment.

const LOOK_MS = 100;

/** What the worker crate and worker-build's shim keep of the wasm: which one it is, and whether it has trapped. */
const wasm = () => globalThis.__worker_init_state;

/** Tells whether the wasm of this moment is gone. */
function watch() {
  const { instanceId } = wasm();
  return () => wasm().criticalError || wasm().instanceId !== instanceId;
}

/** The promise or, when the wasm that was to settle it is gone, what `otherwise` gives. */
function unless(isGone, promise, otherwise) {
  return new Promise((done, fail) => {
    const look = () => {
      if (isGone()) done(otherwise());
      else timer = setTimeout(look, LOOK_MS);
    };
    let timer = setTimeout(look, LOOK_MS);
    promise.then(done, fail).finally(() => clearTimeout(timer));
  });
}

/** A stream that breaks off when the wasm that feeds it is gone. */
function guarded(isGone, stream) {
  const reader = stream.getReader();
  const broken = () => Promise.reject(new Error("the relay was restarted"));
  return new ReadableStream({
    async pull(to) {
      const { done, value } = await unless(isGone, reader.read(), broken);
      if (done) to.close();
      else to.enqueue(value);
    },
    cancel: (why) => reader.cancel(why),
  });
}

/** The response that a promise brings or, when its wasm is gone, one made of these. */
export function outlive(promise, status, headers, body) {
  const isGone = watch();
  return unless(isGone, promise, () => new Response(body, { status, headers }));
}

/** The response with a body that breaks off when its wasm is gone. */
export function breakable(response) {
  return new Response(guarded(watch(), response.body), response);
}
