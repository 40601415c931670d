// tldraw's sync client over a store of our records.

import { Store } from "@tldraw/store";
import { TLSyncClient } from "@tldraw/sync-core";
import { schema } from "./tldraw.mjs";

// Its client works by frames of a screen.
globalThis.requestAnimationFrame ??= (callback) => setTimeout(callback, 16);
globalThis.cancelAnimationFrame ??= clearTimeout;

const noPresence = { get: () => null, name: "none", lastChangedEpoch: 0, getDiffSince: () => [], __unsafe__getWithoutCapture: () => null };

/** A store that follows what `socket` says, from then on. `onLoad` hears when it has connected. */
export function client(socket, onLoad = () => {}) {
  const store = new Store({ schema: schema(), props: {} });
  const onSyncError = (reason) => {
    throw new Error(`tldraw: ${reason}`);
  };
  store.sync = new TLSyncClient({ store, socket, presence: noPresence, onLoad, onSyncError });
  return store;
}
