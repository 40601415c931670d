// What a browser loads: the client of each, minified, with gzip, its WebAssembly included.

import { gzipSync } from "node:zlib";
import { at } from "../tools/house.mjs";

const entry = (says, ...lines) => ({ says, code: lines.join("\n") });

export const clients = {
  neap: entry("everything: storage, sync, tabs, queries, undo, presence, pools", `export { open } from "neap";`),
  "tinybase-store": entry("Store alone: no storage, sync, queries or undo", `export { createStore } from "tinybase/store";`),
  tinybase: entry(
    "MergeableStore, WsSynchronizer, IndexedDB persister, queries, checkpoints; no presence, tabs or acknowledgement",
    `export { createMergeableStore } from "tinybase/mergeable-store";`,
    `export { createWsSynchronizer } from "tinybase/synchronizers/synchronizer-ws-client";`,
    `export { createIndexedDbPersister } from "tinybase/persisters/persister-indexed-db";`,
    `export { createQueries } from "tinybase/queries";`,
    `export { createCheckpoints } from "tinybase/checkpoints";`,
  ),
  yjs: entry(
    "document, undo, y-partyserver's provider with presence and tabs, y-indexeddb; no queries or acknowledgement",
    `export { Doc, UndoManager } from "yjs";`,
    `export { default } from "y-partyserver/provider";`,
    `export { IndexeddbPersistence } from "y-indexeddb";`,
  ),
  loro: entry("document, undo, presence; no storage, socket or queries",
    `export { LoroDoc, UndoManager, EphemeralStore } from "loro-crdt/web";`, `export { default } from "loro-crdt/web";`, `import wasm from "loro-crdt/web/loro_wasm_bg.wasm";`, `export { wasm };`),
  automerge: entry("document alone: no storage, socket, undo or queries", `export * from "@automerge/automerge/slim";`, `import wasm from "@automerge/automerge/automerge.wasm";`, `export { wasm };`),
  tldraw: entry(
    "store, sync client and socket, queries; storage and undo are tldraw's own and not in it",
    `export { Store, StoreSchema, createRecordType } from "@tldraw/store";`,
    `export { TLSyncClient, ClientWebSocketAdapter } from "@tldraw/sync-core";`,
  ),
  replicache: entry("storage, sync, tabs, subscriptions; no undo or presence", `export { Replicache } from "replicache";`),
};

/** Bytes of one client. */
export async function measure(name) {
  const { build } = await import("esbuild");
  const { outputFiles } = await build({
    stdin: { contents: clients[name].code, resolveDir: at("bench"), loader: "js" },
    outdir: "/",
    write: false,
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    loader: { ".wasm": "file" },
    define: { "process.env.NODE_ENV": '"production"' },
    logLevel: "error",
  });
  // WebAssembly is a file beside the script, unless it is within.
  const files = outputFiles.map(({ contents }) => contents);
  const sum = (sizes) => sizes.reduce((a, b) => a + b, 0);
  return { operations: 1, gzipBytes: sum(files.map((file) => gzipSync(file, { level: 9 }).length)), rawBytes: sum(files.map(({ length }) => length)) };
}
