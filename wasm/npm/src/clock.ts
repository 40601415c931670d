// The only place with a clock and with timers.

/** Ends a timer. */
export type Cancel = () => void;

/** Milliseconds since 1970. */
export const now = (): number => Date.now();

/** Milliseconds that only run forward, for measuring how long something takes. */
export const stopwatch = (): number => performance.now();

type Unref = { unref?: () => void };

/** Calls `fn` once, after `ms`. It keeps a Node process alive only when `holds` says so. */
export function after(ms: number, fn: () => void, holds: "holds" | "lets-go" = "lets-go"): Cancel {
  // Timers beyond 2^31 ms fire at once, so such a wait is cut short; callers look at the clock again.
  const timer = setTimeout(fn, Math.min(Math.max(ms, 0), 0x7fff_ffff));
  if (holds === "lets-go") (timer as unknown as Unref).unref?.();
  return () => clearTimeout(timer);
}

type SetImmediate = (fn: () => void) => void;

/** Calls `fn` in the next macrotask, without the 4 ms that browsers add to nested timers. */
export const soon: (fn: () => void) => void = (() => {
  const { setImmediate } = globalThis as { setImmediate?: SetImmediate };
  if (setImmediate) return (fn) => setImmediate(fn);
  // Made on first use: a worker may not make a channel while its modules start.
  let channel: MessageChannel | undefined;
  const waiting: (() => void)[] = [];
  return (fn) => {
    if (!channel) {
      channel = new MessageChannel();
      channel.port1.onmessage = () => waiting.shift()?.();
    }
    waiting.push(fn);
    channel.port2.postMessage(0);
  };
})();
