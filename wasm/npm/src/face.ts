// The face of the wasm: the exports of `wasm/src/export.rs` as the methods of a `Core`. What is a number crosses
// as it is; texts and bytes are laid into a buffer before a call, and fetched from another one after it.

import type { Core } from "./core.js";

/** Options that the relay gets to see; what is left out takes what the datastore has. */
export interface CoreOptions {
  readonly kind?: string | undefined;
  readonly primary?: string | undefined;
  readonly ttl?: number | undefined;
  readonly sliding?: boolean | undefined;
}

type Exports = Record<keyof Core | "input" | "output" | "start", (...numbers: number[]) => number> & {
  readonly memory: WebAssembly.Memory;
};
type Part = string | Uint8Array | undefined;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Starts a replica in an instance of its own. `id` and `spare` are 16 random bytes each. */
export function makeCore(
  module: WebAssembly.Module,
  id: Uint8Array,
  spare: Uint8Array,
  seed: number,
  { kind, primary, ttl, sliding }: CoreOptions,
): Core {
  const wasm = new WebAssembly.Instance(module).exports as unknown as Exports;
  let memory = new Uint8Array();

  /** Linear memory; a view of one that has grown is empty. */
  const view = () => (memory.length > 0 ? memory : (memory = new Uint8Array(wasm.memory.buffer)));

  /** Lays texts and bytes out for the next call, one after the other: their lengths, -1 for what is left out. */
  const put = (...parts: Part[]): number[] => {
    let room = 0;
    for (const part of parts) if (part) room += part.length * (typeof part === "string" ? 3 : 1);
    let at = wasm.input(room);
    const bytes = view();
    return parts.map((part) => {
      if (part === undefined) return -1;
      let { length } = part;
      if (typeof part === "string") length = encoder.encodeInto(part, bytes.subarray(at)).written;
      else bytes.set(part, at);
      at += length;
      return length;
    });
  };

  /** The bytes that a call has given, unless it gave nothing. They stay until the next one gives some. */
  const given = (length: number): Uint8Array | undefined => {
    if (length < 0) return undefined;
    const at = wasm.output();
    return view().subarray(at, at + length);
  };
  const text = (length: number): string | undefined => {
    const bytes = given(length);
    return bytes && decoder.decode(bytes);
  };

  const [, , kindLength, primaryLength] = put(id, spare, kind, primary) as [number, number, number, number];
  wasm.start(kindLength, primaryLength, ttl ?? 0, sliding === undefined ? -1 : Number(sliding), seed);
  return {
    // What takes and gives numbers.
    ...(wasm as unknown as Core),
    restoreInfo: (bytes) => wasm.restoreInfo(...put(bytes)) > 0,
    restoreAccount: (bytes) => wasm.restoreAccount(...put(bytes)) > 0,
    restorePage: (bytes) => wasm.restorePage(...put(bytes)) > 0,
    restoreRows: (bytes) => wasm.restoreRows(...put(bytes)) > 0,
    restoreFrame: (bytes) => wasm.restoreFrame(...put(bytes)) > 0,
    restoreBlock: (first, bytes) => wasm.restoreBlock(first, ...put(bytes)) > 0,
    checksum: (bytes, from, to) => wasm.checksum(...put(bytes), from, to),
    ownChecksum: (bytes, first, last) => wasm.ownChecksum(...put(bytes), first, last),
    setSpare: (spare) => void wasm.setSpare(...put(spare)),
    setMany: (collection, json) => wasm.setMany(...put(collection, json)),
    sets: (collection, json) => wasm.sets(...put(collection, json)),
    mutate: (kind, collection, key, json, condition, seq) => wasm.mutate(kind, condition, seq, ...put(collection, key, json)),
    op: (kind, collection, key, json, condition, seq) => wasm.op(kind, condition, seq, ...put(collection, key, json)),
    draftGet: (collection, key) => text(wasm.draftGet(...put(collection, key))),
    openPool: (pool, primary, retain) => wasm.openPool(...put(pool, primary, retain)) > 0,
    add: (pool, json) => wasm.add(...put(pool, json)),
    identify: (pool, json) => text(wasm.identify(...put(pool, json))),
    convergence: (pool) => text(wasm.convergence(...put(pool))),
    get: (collection, key) => text(wasm.get(...put(collection, key))),
    has: (collection, key) => wasm.has(...put(collection, key)) > 0,
    size: (collection) => wasm.size(...put(collection)),
    metaSeq: (collection, key) => wasm.metaSeq(...put(collection, key)),
    metaPending: (collection, key) => wasm.metaPending(...put(collection, key)) > 0,
    dumpBegin: (collection) => void wasm.dumpBegin(...put(collection)),
    dumpNext: () => text(wasm.dumpNext()),
    watch: (collection, level) => void wasm.watch(...put(collection), level),
    changes: () => text(wasm.changes()),
    events: () => text(wasm.events()),
    unseen: () => given(wasm.unseen())?.slice(),
    block: () => given(wasm.block())?.slice(),
    frame: () => given(wasm.frame())?.slice(),
    note: () => given(wasm.note())?.slice(),
    info: () => given(wasm.info())?.slice(),
    account: () => given(wasm.account())?.slice() as Uint8Array,
    adoptPage: (bytes, place) => wasm.adoptPage(...put(bytes), place) > 0,
    adoptFrame: (bytes) => wasm.adoptFrame(...put(bytes)) > 0,
    page: (index) => given(wasm.page(index))?.slice() as Uint8Array,
    id: () => given(wasm.id())?.slice() as Uint8Array,
    received: (bytes, now) => wasm.received(...put(bytes), now),
    pong: (text, now) => wasm.pong(...put(text), now),
    restorePrimary: (primary) => void wasm.restorePrimary(...put(primary)),
    show: (json) => void wasm.show(...put(json)),
    heard: (note) => void wasm.heard(...put(note)),
    keepSiblings: (ids) => void wasm.keepSiblings(...put(ids)),
    siblingDone: (id, epoch, seq) => void wasm.siblingDone(...put(id, epoch), seq),
    epoch: () => text(wasm.epoch()),
    kind: () => text(wasm.kind()) as string,
    primary: () => text(wasm.primary()) as string,
    replicaTag: () => text(wasm.replicaTag()) as string,
    digest: () => text(wasm.digest()) as string,
  };
}
