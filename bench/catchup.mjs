// A newcomer fetches everything, or somebody returns and fetches what has changed: what it costs the client, and the bytes.
//   node catchup.mjs serve SUBJECT SIZE     holds the records, prints its address
//   node catchup.mjs join SUBJECT SIZE URL [CHANGES]

import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isMain } from "../tools/house.mjs";
import { startRelay } from "../tools/relay.mjs";
import { records, unpaced } from "./data.mjs";

const TABLE = "tasks";
const BATCH = 5000;
const listen = (server) => new Promise((done) => server.listen(0, "127.0.0.1", () => done(server.address().port)));

/** A WebSocket class that is the platform's own and counts the bytes of messages that come in. */
const counting = (count) =>
  class extends WebSocket {
    constructor(url, protocols) {
      super(url, protocols);
      this.addEventListener("message", ({ data }) => count(typeof data === "string" ? Buffer.byteLength(data) : (data.byteLength ?? data.size)));
    }
  };

async function socketServer(connected) {
  const { WebSocketServer } = await import("ws");
  const server = createServer();
  new WebSocketServer({ server, perMessageDeflate: false }).on("connection", connected);
  return `ws://127.0.0.1:${await listen(server)}`;
}

const opened = (socket) => new Promise((done) => socket.addEventListener("open", done));

export const subjects = {
  json: {
    says: "limit: the records as one JSON text over HTTP, parsed into a Map. It can fetch everything only",
    async serve(all) {
      const text = JSON.stringify(all);
      return `http://127.0.0.1:${await listen(createServer((_, response) => response.end(text)))}`;
    },
    async join(url) {
      const text = await (await fetch(url)).text();
      const map = new Map(JSON.parse(text).map((record) => [record.id, record]));
      return { size: map.size, bytes: Buffer.byteLength(text) };
    },
  },
  neap: {
    says: "from the real relay's SQLite in pages, digest compared, to `ready`; records unparsed until read; memory storage",
    returns: true,
    async serve(all) {
      const data = mkdtempSync(join(tmpdir(), "neap-bench-"));
      const relay = await startRelay({ data, vars: unpaced });
      process.on("exit", () => rmSync(data, { recursive: true, force: true }));
      const { open } = await import("neap");
      const ds = await open({ relay: relay.url, id: "bench", kind: "permanent", storage: "memory" });
      const tasks = ds.collection(TABLE);
      for (let at = 0; at < all.length; at += BATCH)
        tasks.transact((tx) => all.slice(at, at + BATCH).forEach((record) => tx.set(record)));
      await ds.settled();
      await ds.close();
      return relay.url;
    },
    async join(url, count) {
      const { open } = await import("neap");
      const ds = await open({ relay: url, id: "bench", storage: "memory", WebSocket: counting(count) });
      await ds.ready;
      return { size: ds.collection(TABLE).size, ds };
    },
    /** Another one changes `changes` records while this one is away. */
    async change(url, all, changes, { ds }) {
      ds.goOffline();
      const { open } = await import("neap");
      const writer = await open({ relay: url, id: "bench", storage: "memory" });
      await writer.ready;
      const tasks = writer.collection(TABLE);
      const next = Array.from({ length: changes }, (_, n) => ({ ...all[n], ts: Date.now() + n }));
      for (let at = 0; at < next.length; at += BATCH)
        tasks.transact((tx) => next.slice(at, at + BATCH).forEach((record) => tx.set(record)));
      await writer.settled();
      await writer.close();
      return { changed: JSON.stringify(next).length, seq: writer.seq };
    },
    async back({ ds }, { seq }) {
      ds.goOnline();
      while (ds.status.connection !== "live" || ds.seq < seq) await new Promise((done) => ds.on("status", done));
    },
  },
  yjs: {
    says: "one value per record; the whole document as one update over a socket, from memory",
    async serve(all) {
      const { Doc, encodeStateAsUpdate } = await import("yjs");
      const doc = new Doc();
      doc.transact(() => all.forEach((record) => doc.getMap(TABLE).set(record.id, record)));
      return socketServer((socket) => socket.on("message", (vector) => socket.send(encodeStateAsUpdate(doc, vector))));
    },
    async join(url, count) {
      const { Doc, applyUpdate, encodeStateVector } = await import("yjs");
      const doc = new Doc();
      const socket = new (counting(count))(url);
      socket.binaryType = "arraybuffer";
      await opened(socket);
      const answer = new Promise((done) => socket.addEventListener("message", ({ data }) => done(data)));
      socket.send(encodeStateVector(doc));
      applyUpdate(doc, new Uint8Array(await answer));
      return { size: doc.getMap(TABLE).size };
    },
  },
  "tinybase-mergeable": {
    says: "MergeableStore by its own WsSynchronizer and WsServer, from memory",
    async serve(all) {
      const { createMergeableStore } = await import("tinybase");
      const { createCustomPersister } = await import("tinybase/persisters");
      const { createWsServer } = await import("tinybase/synchronizers/synchronizer-ws-server");
      const { WebSocketServer } = await import("ws");
      const server = createServer();
      const sockets = new WebSocketServer({ server, perMessageDeflate: false });
      const store = createMergeableStore("server");
      for (let at = 0; at < all.length; at += BATCH)
        store.transaction(() => all.slice(at, at + BATCH).forEach((record) => store.setRow(TABLE, record.id, record)));
      // What the server keeps for a path comes from its persister; this one has it at hand.
      createWsServer(sockets, () => createCustomPersister(store, async () => store.getMergeableContent(), async () => {}, () => {}, () => {}, undefined, 2));
      return `ws://127.0.0.1:${await listen(server)}`;
    },
    async join(url, count, size) {
      const { createMergeableStore } = await import("tinybase");
      const { createWsSynchronizer } = await import("tinybase/synchronizers/synchronizer-ws-client");
      const store = createMergeableStore("client");
      const synchronizer = await createWsSynchronizer(store, new (counting(count))(url), 60);
      await synchronizer.startSync();
      while (store.getRowCount(TABLE) < size) await new Promise((done) => setTimeout(done, 1));
      return { size: store.getRowCount(TABLE) };
    },
  },
};

if (isMain(import.meta.url)) {
  const [mode, name, sizeText, url, changes] = process.argv.slice(2);
  const all = records(Number(sizeText));
  const subject = subjects[name];
  if (mode === "serve") {
    process.on("SIGTERM", () => process.exit(0));
    console.log(await subject.serve(all));
  }
  else {
    let bytes = 0;
    const count = (more) => (bytes += more);
    let json = JSON.stringify(all).length;
    let begin = [performance.now(), process.cpuUsage()];
    const joined = await subject.join(url, count, all.length);
    if (joined.size !== all.length) throw new Error(`${name}: ${joined.size} of ${all.length} records`);
    if (changes !== undefined) {
      const news = await subject.change(url, all, Number(changes), joined);
      json = news.changed;
      bytes = 0;
      begin = [performance.now(), process.cpuUsage()];
      await subject.back(joined, news);
    }
    const used = process.cpuUsage(begin[1]);
    const result = { operations: Number(changes ?? all.length), wallMs: performance.now() - begin[0], cpuMs: (used.user + used.system) / 1000, bytes: joined.bytes ?? bytes, json };
    process.stdout.write(JSON.stringify(result), () => process.exit(0));
  }
}
