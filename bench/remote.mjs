// Changes that others have made: what it costs to take them. A writer makes them once; what it sent, frame by
// frame, is then played to each subject in a process of its own, so that no socket is measured.
//   node remote.mjs SUBJECT PENDING PLAY    PLAY is what `record` wrote; PENDING own writes wait meanwhile

import { readFileSync, writeFileSync } from "node:fs";
import { serialize, deserialize } from "node:v8";
import { isMain } from "../tools/house.mjs";
import { records } from "./data.mjs";

const TABLE = "tasks";
/** The writer's changes: one field of one record each, of others than those that wait. */
const changed = (all, n) => ({ ...all[(n * 7) % all.length], pri: 100 + n });

/** Which subjects take remote changes; each records a play and plays it. */
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
    async record(all, count) {
      const { Doc, encodeStateAsUpdate } = await import("yjs");
      const writer = new Doc();
      const map = writer.getMap(TABLE);
      writer.transact(() => all.forEach((record) => map.set(record.id, record)));
      const first = encodeStateAsUpdate(writer);
      const rest = [];
      writer.on("update", (update) => rest.push(update));
      for (let n = 0; n < count; n++) map.set(changed(all, n).id, changed(all, n));
      return { first, rest };
    },
    async make({ first, rest }, pending) {
      const { Doc, applyUpdate } = await import("yjs");
      const doc = new Doc();
      const map = doc.getMap(TABLE);
      applyUpdate(doc, first);
      for (const record of pending) map.set(record.id, record);
      return { take: () => rest.forEach((update) => applyUpdate(doc, update)), get: (id) => map.get(id), steps: rest.length };
    },
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
};

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
      queueMicrotask(() => due.forEach((bytes) => this.emit("message", { data: bytes.slice().buffer })));
    }

    close() {}
  };

/** Makes the play of a subject and writes it down. */
export async function record(subject, { size, count, file, relay }) {
  writeFileSync(file, serialize(await takers[subject].record(records(size), count, { relay })));
}

if (isMain(import.meta.url)) {
  const [mode, subject, size, count, ...more] = process.argv.slice(2);
  const all = records(Number(size));
  if (mode === "record") await record(subject, { size: Number(size), count: Number(count), file: more[0], relay: more[1] });
  else {
    const [pendingCount, file] = more;
    // Every seventh record from the start changes; these lie between them.
    const pending = Array.from({ length: Number(pendingCount) }, (_, n) => ({ ...all[(n * 7 + 3) % all.length], pri: 50 }));
    const store = await takers[subject].make(deserialize(readFileSync(file)), pending);
    const cpu = process.cpuUsage();
    const start = performance.now();
    store.take();
    await new Promise((done) => setTimeout(done));
    const wallMs = performance.now() - start;
    const used = process.cpuUsage(cpu);
    const last = changed(all, Number(count) - 1);
    const found = store.get(last.id);
    if (found?.pri !== last.pri) throw new Error(`${subject}: not all was taken`);
    if (pending.length > 0 && store.get(pending[0].id)?.pri !== 50) throw new Error(`${subject}: an own write is gone`);
    process.stdout.write(JSON.stringify({ operations: Number(count), steps: store.steps, wallMs, cpuMs: (used.user + used.system) / 1000 }), () => process.exit(0));
  }
  process.exit(0);
}
