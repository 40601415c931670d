// Those who take remote changes, and the sockets without a network by which they are told.

import { idOf, toRecord } from "./tldraw.mjs";

const TABLE = "tasks";

/** The writer's changes: one field of one record each, of others than those that wait. */
export const changed = (all, n) => ({ ...all[(n * 7) % all.length], pri: 100 + n });

/**
 * Who takes what others have changed. `record` makes the changes once, as a writer, and gives what it has sent: `first`
 * for all records, `rest` for one change each. `make` gives a reader that has taken `first` and has own writes pending;
 * `take` plays the rest to it, `get` reads. `cap` bounds who would take minutes.
 */
export const takers = {
  neap: {
    says: "frames of the real relay, one mutation each: checked, stored in the replica with seq and digest, pending rebased; memory storage",
    async record(all, count, { relay }) {
      const { open } = await import("neap");
      const writer = await open({ relay, id: "bench", kind: "permanent", storage: "memory" });
      const tasks = writer.collection(TABLE);
      for (let at = 0; at < all.length; at += 5000)
        tasks.transact((tx) => all.slice(at, at + 5000).forEach((record) => tx.set(record)));
      await writer.settled();
      const first = [];
      const rest = [];
      let frames = first;
      const reader = await open({ relay, id: "bench", storage: "memory", WebSocket: recording((bytes) => frames.push(bytes)) });
      await reader.ready;
      frames = rest;
      for (let n = 0; n < count; n++) await tasks.set(changed(all, n)).settled;
      while (reader.seq < writer.seq) await new Promise((done) => setTimeout(done, 5));
      await Promise.all([reader.close(), writer.close()]);
      return { first, rest };
    },
    async make({ first, rest }, pending) {
      const { open } = await import("neap");
      let socket;
      const WebSocket = playing(first, (one) => (socket = one));
      const ds = await open({ relay: "http://127.0.0.1:1", id: "bench", storage: "memory", WebSocket });
      await ds.ready;
      const tasks = ds.collection(TABLE);
      for (const record of pending) tasks.set(record);
      await new Promise((done) => setTimeout(done, 20));
      return { take: () => rest.forEach((bytes) => socket.emit("message", { data: bytes.slice().buffer })), get: (id) => tasks.get(id), steps: rest.length };
    },
  },
  "tinybase-mergeable": {
    cap: { records: 20_000 },
    says: "mergeable changes of one transaction each",
    async record(all, count) {
      const { createMergeableStore } = await import("tinybase");
      const writer = createMergeableStore("writer");
      for (let at = 0; at < all.length; at += 5000)
        writer.transaction(() => all.slice(at, at + 5000).forEach((record) => writer.setRow(TABLE, record.id, record)));
      const first = JSON.stringify(writer.getMergeableContent());
      const rest = [];
      writer.addDidFinishTransactionListener(() => rest.push(JSON.stringify(writer.getTransactionMergeableChanges())));
      for (let n = 0; n < count; n++) writer.setCell(TABLE, changed(all, n).id, "pri", changed(all, n).pri);
      return { first, rest };
    },
    async make({ first, rest }, pending) {
      const { createMergeableStore } = await import("tinybase");
      const store = createMergeableStore("reader");
      store.applyMergeableChanges(JSON.parse(first));
      for (const record of pending) store.setCell(TABLE, record.id, "pri", record.pri);
      return { take: () => rest.forEach((text) => store.applyMergeableChanges(JSON.parse(text))), get: (id) => store.getRow(TABLE, id), steps: rest.length };
    },
  },
  yjs: {
    says: "one value per record, an update per change",
    ...yjs({ put: (map, record) => map.set(record.id, record), change: (map, { id }, record) => map.set(id, record) }),
  },
  "yjs-nested": {
    says: "a Y.Map per record, an update per change, which names one field",
    ...yjs({
      put: (map, record, YMap) => map.set(record.id, new YMap(Object.entries(record))),
      change: (map, { id }, { pri }) => map.get(id).set("pri", pri),
    }),
  },
  loro: {
    says: "one value per record, an update per change",
    async record(all, count) {
      const { LoroDoc } = await import("loro-crdt");
      const writer = new LoroDoc();
      const map = writer.getMap(TABLE);
      all.forEach((record) => map.set(record.id, record));
      writer.commit();
      const first = writer.export({ mode: "update" });
      const rest = [];
      writer.subscribeLocalUpdates((update) => rest.push(update));
      for (let n = 0; n < count; n++) {
        map.set(changed(all, n).id, changed(all, n));
        writer.commit();
      }
      await new Promise((done) => setTimeout(done));
      return { first, rest };
    },
    async make({ first, rest }, pending) {
      const { LoroDoc } = await import("loro-crdt");
      const doc = new LoroDoc();
      const map = doc.getMap(TABLE);
      doc.import(first);
      for (const record of pending) {
        map.set(record.id, record);
        doc.commit();
      }
      return { take: () => rest.forEach((update) => doc.import(update)), get: (id) => map.get(id), steps: rest.length };
    },
  },
  automerge: {
    cap: { records: 2000, operations: 100, pending: 50 },
    says: "one field of one record, a change each",
    async record(all, count) {
      const { change, from, getLastLocalChange, save } = await import("@automerge/automerge");
      let writer = from({ [TABLE]: Object.fromEntries(all.map((record) => [record.id, record])) });
      const first = save(writer);
      const rest = [];
      for (let n = 0; n < count; n++) {
        const { id, pri } = changed(all, n);
        writer = change(writer, (draft) => (draft[TABLE][id].pri = pri));
        rest.push(getLastLocalChange(writer));
      }
      return { first, rest };
    },
    async make({ first, rest }, pending) {
      const { applyChanges, change, load } = await import("@automerge/automerge");
      let doc = load(first);
      for (const { id, pri } of pending) doc = change(doc, (draft) => (draft[TABLE][id].pri = pri));
      const take = () => rest.forEach((one) => ([doc] = applyChanges(doc, [one])));
      return { take, get: (id) => doc[TABLE][id], steps: rest.length };
    },
  },
  tldraw: {
    says: "TLSyncClient: a patch of one field each; takes together what comes within a frame of 33 ms, and rebases once for it",
    async record(all, count) {
      const first = JSON.stringify(Object.fromEntries(all.map(toRecord).map((record) => [record.id, ["put", record]])));
      const patch = (n) => ({ type: "patch", serverClock: n + 2, diff: { [idOf(changed(all, n).id)]: ["patch", { pri: ["put", changed(all, n).pri] }] } });
      return { first, rest: Array.from({ length: count }, (_, n) => JSON.stringify({ type: "data", data: [patch(n)] })) };
    },
    async make({ first, rest }, pending) {
      const { client } = await import("./tldraw-client.mjs");
      const socket = deaf();
      const store = client(socket);
      socket.hear({ type: "connect", connectRequestId: socket.said[0].connectRequestId, hydrationType: "wipe_all", protocolVersion: 8, schema: store.schema.serialize(), serverClock: 1, diff: JSON.parse(first), isReadonly: false });
      for (const { id, pri } of pending) store.update(idOf(id), (record) => ({ ...record, pri }));
      await new Promise((done) => setTimeout(done, 100));
      const take = async () => {
        for (const text of rest) socket.hear(JSON.parse(text));
        const [[lastId, [, { pri }]]] = Object.entries(JSON.parse(rest.at(-1)).data[0].diff);
        while (store.get(lastId).pri !== pri[1]) await new Promise((done) => setTimeout(done, 5));
      };
      return { take, get: (id) => store.get(idOf(id)), steps: rest.length };
    },
  },
};

/** tldraw's kind of socket, without one: what is said is kept, what is heard comes from us. */
function deaf() {
  const said = [];
  const listeners = new Set();
  return {
    said,
    connectionStatus: "online",
    sendMessage: (message) => said.push(message),
    onReceiveMessage: (listener) => (listeners.add(listener), () => listeners.delete(listener)),
    onStatusChange: () => () => {},
    restart() {},
    close() {},
    hear: (message) => listeners.forEach((listener) => listener(message)),
  };
}

function yjs({ put, change }) {
  return {
    async record(all, count) {
      const { Doc, Map: YMap, encodeStateAsUpdate } = await import("yjs");
      const writer = new Doc();
      const map = writer.getMap(TABLE);
      writer.transact(() => all.forEach((record) => put(map, record, YMap)));
      const first = encodeStateAsUpdate(writer);
      const rest = [];
      writer.on("update", (update) => rest.push(update));
      for (let n = 0; n < count; n++) change(map, changed(all, n), changed(all, n));
      return { first, rest };
    },
    async make({ first, rest }, pending) {
      const { Doc, applyUpdate } = await import("yjs");
      const doc = new Doc();
      const map = doc.getMap(TABLE);
      applyUpdate(doc, first);
      for (const record of pending) change(map, record, record);
      return { take: () => rest.forEach((update) => applyUpdate(doc, update)), get: (id) => map.get(id), steps: rest.length };
    },
  };
}

/** A WebSocket class that is the platform's own and tells each binary frame. */
const recording = (heard) =>
  class extends WebSocket {
    constructor(url, protocols) {
      super(url, protocols);
      this.addEventListener("message", ({ data }) => {
        if (typeof data !== "string") heard(new Uint8Array(data.slice(0)));
      });
    }
  };

/** A WebSocket class without a network: it answers the first frame with those of `first`. */
const playing = (first, made) =>
  class {
    binaryType = "arraybuffer";
    bufferedAmount = 0;
    readyState = 0;
    listeners = { open: [], message: [], close: [], error: [] };
    asked = 0;

    constructor() {
      made(this);
      setTimeout(() => this.emit("open", {}));
    }

    addEventListener(type, listener) {
      this.listeners[type].push(listener);
    }

    emit(type, event) {
      for (const listener of this.listeners[type]) listener(event);
    }

    // Welcome comes with the first page; each Next asks for one more.
    send(data) {
      if (typeof data === "string") return;
      const until = this.asked === 0 ? 2 : this.asked + 1;
      const due = first.slice(this.asked, until);
      this.asked = until;
      // What was told is nobody's memory but the listener's.
      first.fill(null, 0, Math.min(until, first.length));
      queueMicrotask(() => due.forEach((bytes) => this.emit("message", { data: bytes.slice().buffer })));
    }

    close() {}
  };
