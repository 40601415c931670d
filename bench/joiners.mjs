// Those who catch up. `serve` holds the records and gives an address; `join` fetches them all and gives `size` and `get`.
// Whoever can fetch what has changed alone has `leave`, `change`, by which somebody else changes some meanwhile,
// and `back`, which returns when that has arrived. `count` is told the bytes of each message. `cap` bounds who would
// take minutes.

import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startRelay } from "../tools/relay.mjs";
import { unpaced } from "./data.mjs";
import { empty, idOf, schema, toRecord } from "./tldraw.mjs";

const TABLE = "tasks";
const BATCH = 5000;

/** The first `count` records, each with a time that it has never had: what does not change anything would cost some nothing. */
export const renewed = (all, count) => {
  const ts = Date.now();
  return all.slice(0, count).map((record, n) => ({ ...record, ts: ts + n }));
};

export const joiners = {
  json: {
    says: "limit: the records as one JSON text over HTTP, parsed into a Map. It can fetch everything only",
    serve: (all) => jsonServer(JSON.stringify(all)),
    async join(url, count) {
      const text = await (await fetch(url)).text();
      count(Buffer.byteLength(text));
      const map = new Map(JSON.parse(text).map((record) => [record.id, record]));
      return { size: () => map.size, get: (id) => map.get(id) };
    },
  },
  neap: {
    says: "from the real relay's SQLite in pages, digest compared, to `ready`; records unparsed until read; memory storage",
    async serve(all) {
      const data = mkdtempSync(join(tmpdir(), "neap-bench-"));
      const relay = await startRelay({ data, vars: unpaced });
      process.on("exit", () => rmSync(data, { recursive: true, force: true }));
      await write(relay.url, all);
      return relay.url;
    },
    async join(url, count) {
      const { open } = await import("neap");
      const ds = await open({ relay: url, id: "bench", storage: "memory", WebSocket: counting(count) });
      await ds.ready;
      const tasks = ds.collection(TABLE);
      return { ds, size: () => tasks.size, get: (id) => tasks.get(id) };
    },
    leave: ({ ds }) => ds.goOffline(),
    change: (url, news) => write(url, news),
    async back({ ds }, { arrived }) {
      ds.goOnline();
      while (ds.status.connection !== "live" || !arrived()) await new Promise((done) => ds.on("status", done));
    },
  },
  yjs: {
    says: "one value per record; an update against its state vector over a socket, from memory",
    async serve(all) {
      const { Doc, encodeStateAsUpdate } = await import("yjs");
      const doc = new Doc();
      const put = (some) => doc.transact(() => some.forEach((record) => doc.getMap(TABLE).set(record.id, record)));
      put(all);
      return socketServer((socket) => socket.on("message", (vector) => socket.send(encodeStateAsUpdate(doc, vector))), put);
    },
    async join(url, count) {
      const { Doc, applyUpdate, encodeStateVector } = await import("yjs");
      const doc = new Doc();
      const sync = async (from, counted) => applyUpdate(doc, await answer(from, counted, encodeStateVector(doc)));
      await sync(url, count);
      const map = doc.getMap(TABLE);
      return { sync, size: () => map.size, get: (id) => map.get(id) };
    },
    leave() {},
    change: asTold,
    back: ({ sync }, { url, count }) => sync(url, count),
  },
  loro: {
    says: "one value per record; a snapshot, decoded when something needs it, later an update against its version, over a socket, from memory",
    async serve(all) {
      const { LoroDoc, VersionVector } = await import("loro-crdt");
      const doc = new LoroDoc();
      const put = (some) => {
        some.forEach((record) => doc.getMap(TABLE).set(record.id, record));
        doc.commit();
      };
      put(all);
      const export_ = (version) => (version.length > 1 ? { mode: "update", from: VersionVector.decode(version) } : { mode: "snapshot" });
      return socketServer((socket) => socket.on("message", (version) => socket.send(doc.export(export_(new Uint8Array(version))))), put);
    },
    async join(url, count) {
      const { LoroDoc } = await import("loro-crdt");
      const doc = new LoroDoc();
      const sync = async (from, counted) => doc.import(await answer(from, counted, doc.version().encode()));
      await sync(url, count);
      const map = doc.getMap(TABLE);
      return { sync, size: () => map.size, get: (id) => map.get(id) };
    },
    leave() {},
    change: asTold,
    back: ({ sync }, { url, count }) => sync(url, count),
  },
  "tinybase-mergeable": {
    cap: { records: 20_000 },
    says: "MergeableStore by its own WsSynchronizer and WsServer, from memory; what differs is found by hashes of tables, rows and cells",
    async serve(all) {
      const { createMergeableStore } = await import("tinybase");
      const { createCustomPersister } = await import("tinybase/persisters");
      const { createWsServer } = await import("tinybase/synchronizers/synchronizer-ws-server");
      const { WebSocketServer } = await import("ws");
      const store = createMergeableStore("server");
      const put = (some) => store.transaction(() => some.forEach((record) => store.setRow(TABLE, record.id, record)));
      for (let at = 0; at < all.length; at += BATCH) put(all.slice(at, at + BATCH));
      const server = changeServer(put);
      // What the server keeps for a path comes from its persister; this one has it at hand.
      const persister = () => createCustomPersister(store, async () => store.getMergeableContent(), async () => {}, () => {}, () => {}, undefined, 2);
      createWsServer(new WebSocketServer({ server, perMessageDeflate: false }), persister);
      return `ws://127.0.0.1:${await listen(server)}`;
    },
    async join(url, count, size) {
      const { createMergeableStore } = await import("tinybase");
      const store = createMergeableStore("client");
      const synchronizer = await tinybaseSync(store, url, count);
      while (store.getRowCount(TABLE) < size) await soon();
      return { store, synchronizer, size: () => store.getRowCount(TABLE), get: (id) => store.getRow(TABLE, id) };
    },
    leave: ({ synchronizer }) => synchronizer.destroy(),
    change: asTold,
    async back({ store }, { url, count, arrived }) {
      await tinybaseSync(store, url, count);
      while (!arrived()) await soon();
    },
  },
  tldraw: {
    says: "TLSyncClient and TLSocketRoom, from memory; what has changed is found by the room's clock",
    async serve(all) {
      const { InMemorySyncStorage, TLSocketRoom } = await import("@tldraw/sync-core");
      const room = new TLSocketRoom({ schema: schema(), storage: new InMemorySyncStorage({ snapshot: empty() }) });
      const put = (some) => room.storage.transaction((txn) => some.map(toRecord).forEach((record) => txn.set(record.id, record)));
      put(all);
      let sessions = 0;
      return socketServer((socket) => room.handleSocketConnect({ sessionId: `${(sessions += 1)}`, socket }), put);
    },
    async join(url, count) {
      const { client } = await import("./tldraw-client.mjs");
      const socket = await tldrawSocket(url, count);
      let store;
      await new Promise((done) => (store = client(socket, done)));
      return { socket, store, size: () => store.allRecords().length, get: (id) => store.get(idOf(id)) };
    },
    leave: ({ socket }) => socket.drop(),
    change: asTold,
    async back({ socket }, { arrived }) {
      await socket.connect();
      while (!arrived()) await soon();
    },
  },
  automerge: {
    cap: { records: 2000, changes: 100 },
    says: "the document as it is saved, later what was saved since its heads, over a socket, from memory",
    async serve(all) {
      const { change, from, save, saveSince } = await import("@automerge/automerge");
      let doc = from({ [TABLE]: Object.fromEntries(all.map((record) => [record.id, record])) });
      const told = (heads) => (heads.length > 0 ? saveSince(doc, heads) : save(doc));
      const put = ({ id, ts }) => (doc = change(doc, (draft) => (draft[TABLE][id].ts = ts)));
      return socketServer((socket) => socket.on("message", (heads) => socket.send(told(JSON.parse(heads)))), (news) => news.forEach(put));
    },
    async join(url, count) {
      const { getHeads, init, loadIncremental } = await import("@automerge/automerge");
      let doc = init();
      const sync = async (from, counted) => (doc = loadIncremental(doc, await answer(from, counted, JSON.stringify(getHeads(doc)))));
      await sync(url, count);
      return { sync, size: () => Object.keys(doc[TABLE]).length, get: (id) => doc[TABLE][id] };
    },
    leave() {},
    change: asTold,
    back: ({ sync }, { url, count }) => sync(url, count),
  },
  replicache: {
    says: "one pull whose answer is a patch of all, from the app's own server; memory store. What has changed is up to that server, so it is not measured",
    serve: (all) => jsonServer(JSON.stringify({ cookie: 1, lastMutationIDChanges: {}, patch: all.map((value) => ({ op: "put", key: `task/${value.id}`, value })) })),
    async join(url, count, size) {
      const { Replicache, TEST_LICENSE_KEY } = await import("replicache");
      const puller = async () => {
        const text = await (await fetch(url)).text();
        count(Buffer.byteLength(text));
        return { response: JSON.parse(text), httpRequestInfo: { httpStatusCode: 200, errorMessage: "" } };
      };
      const rep = new Replicache({ name: "bench", licenseKey: TEST_LICENSE_KEY, kvStore: "mem", logLevel: "error", pullInterval: null, puller });
      await rep.pull({ now: true });
      const seen = await rep.query(async (tx) => {
        let found = 0;
        for await (const _ of tx.scan({ prefix: "task/" }).keys()) found += 1;
        return found;
      });
      return { size: () => seen };
    },
  },
};

const listen = (server) => new Promise((done) => server.listen(0, "127.0.0.1", () => done(server.address().port)));
const soon = () => new Promise((done) => setTimeout(done, 1));

async function jsonServer(text) {
  return `http://127.0.0.1:${await listen(createServer((_, response) => response.end(text)))}`;
}

/** A server that changes the records that it is told. */
const changeServer = (change) =>
  createServer(async (request, response) => {
    change(JSON.parse(Buffer.concat(await request.toArray()).toString()));
    response.end();
  });

async function socketServer(connected, change) {
  const { WebSocketServer } = await import("ws");
  const server = changeServer(change);
  new WebSocketServer({ server, perMessageDeflate: false }).on("connection", connected);
  return `ws://127.0.0.1:${await listen(server)}`;
}

async function asTold(url, news) {
  await fetch(url.replace("ws:", "http:"), { method: "POST", body: JSON.stringify(news) });
}

/** Another client of Neap writes these records. */
export async function write(url, records, id = "bench") {
  const { open } = await import("neap");
  const ds = await open({ relay: url, id, kind: "permanent", storage: "memory" });
  const tasks = ds.collection(TABLE);
  for (let at = 0; at < records.length; at += BATCH)
    tasks.transact((tx) => records.slice(at, at + BATCH).forEach((record) => tx.set(record)));
  await ds.settled();
  await ds.close();
}

/** A WebSocket class that is the platform's own and counts the bytes of messages that come in. */
const counting = (count) =>
  class extends WebSocket {
    constructor(url, protocols) {
      super(url, protocols);
      this.addEventListener("message", ({ data }) => count(typeof data === "string" ? Buffer.byteLength(data) : (data.byteLength ?? data.size)));
    }
  };

const opened = (socket) => new Promise((done) => socket.addEventListener("open", done));

/** Asks by a socket of its own, and gives the answer's bytes. */
async function answer(url, count, question) {
  const socket = new (counting(count))(url);
  socket.binaryType = "arraybuffer";
  await opened(socket);
  const heard = new Promise((done) => socket.addEventListener("message", ({ data }) => done(data)));
  socket.send(question);
  return new Uint8Array(await heard);
}

export async function tinybaseSync(store, url, count) {
  const { createWsSynchronizer } = await import("tinybase/synchronizers/synchronizer-ws-client");
  const synchronizer = await createWsSynchronizer(store, new (counting(count))(url), 60);
  await synchronizer.startSync();
  return synchronizer;
}

/** tldraw's kind of socket over the platform's. */
export async function tldrawSocket(url, count) {
  const { chunk, JsonChunkAssembler } = await import("@tldraw/sync-core");
  const listeners = { message: new Set(), status: new Set() };
  const on = (kind) => (listener) => (listeners[kind].add(listener), () => listeners[kind].delete(listener));
  let socket;
  const status = (now) => {
    adapter.connectionStatus = now;
    listeners.status.forEach((listener) => listener({ status: now }));
  };
  const adapter = {
    connectionStatus: "offline",
    sendMessage: (message) => chunk(JSON.stringify(message)).forEach((part) => socket.send(part)),
    onReceiveMessage: on("message"),
    onStatusChange: on("status"),
    restart() {},
    close() {},
    async connect() {
      const assembler = new JsonChunkAssembler();
      socket = new (counting(count))(url);
      socket.addEventListener("message", ({ data }) => {
        const whole = assembler.handleMessage(data);
        if (whole) listeners.message.forEach((listener) => listener(whole.data));
      });
      await opened(socket);
      status("online");
    },
    drop() {
      socket.close();
      status("offline");
    },
  };
  await adapter.connect();
  return adapter;
}
