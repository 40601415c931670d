// What a record costs in memory: JavaScript's heap, WebAssembly's linear memory and what else hangs on them, after a
// collection. Records have come from others, as a play (remote.mjs) or as JSON; then each is read once.
//   node --expose-gc memory.mjs SUBJECT RECORDS FILE     prints JSON

import { readFileSync, writeFileSync } from "node:fs";
import { deserialize, serialize } from "node:v8";
import { isMain } from "../tools/house.mjs";
import { idAt, records } from "./data.mjs";
import { takers } from "./takers.mjs";
import { tell } from "./timed.mjs";

const fromPlay = (name) => ({
  says: takers[name].says.replace(/, (a change|an update|a patch).*| of one transaction each|, one mutation each/, ""),
  cap: takers[name].cap,
  load: (play) => takers[name].make(play, []),
});

const fromJson = (says, load) => ({ says, isJson: true, load });

export const holders = {
  map: fromJson("limit: JSON.parse into a Map", (all) => {
    const map = new Map(all.map((record) => [record.id, record]));
    return { get: (id) => map.get(id) };
  }),
  neap: { ...fromPlay("neap"), says: "from frames of the real relay; JSON text until it is read, then also the object" },
  tinybase: fromJson("Store, which does not sync", async (all) => {
    const { createStore } = await import("tinybase");
    const store = createStore();
    store.transaction(() => all.forEach((record) => store.setRow("tasks", record.id, record)));
    return { get: (id) => store.getRow("tasks", id) };
  }),
  "tinybase-mergeable": { ...fromPlay("tinybase-mergeable"), says: "mergeable content: a clock and hashes for each cell" },
  yjs: { ...fromPlay("yjs"), says: "one value per record, from one update" },
  "yjs-nested": { ...fromPlay("yjs-nested"), says: "a Y.Map per record, from one update" },
  loro: { ...fromPlay("loro"), says: "one value per record, from one update; a read makes a new object, which nobody keeps" },
  automerge: { ...fromPlay("automerge"), says: "an object per record, from a saved document" },
  tldraw: { ...fromPlay("tldraw"), says: "store and sync client, from the room's greeting" },
  replicache: fromJson("memory store, written by mutators of 5000 records each", async (all) => {
    const { Replicache, TEST_LICENSE_KEY } = await import("replicache");
    const mutators = {
      load: async (tx, batch) => {
        for (const record of batch) await tx.set(`task/${record.id}`, record);
      },
    };
    const rep = new Replicache({ name: "bench", licenseKey: TEST_LICENSE_KEY, kvStore: "mem", logLevel: "error", mutators });
    for (let at = 0; at < all.length; at += 5000) await rep.mutate.load(all.slice(at, at + 5000));
    return { reading: (read) => rep.query((tx) => read((id) => tx.get(`task/${id}`))) };
  }),
};

/** Writes the JSON down that some are loaded from. */
export const writeRecords = (count, file) => writeFileSync(file, serialize(JSON.stringify(records(count))));

if (isMain(import.meta.url)) {
  const [subject, size, file] = process.argv.slice(2);
  const count = Number(size);
  const { load, isJson } = holders[subject];
  const packages = { neap: "neap", loro: "loro-crdt", automerge: "@automerge/automerge", replicache: "replicache" };
  await import(packages[subject] ?? (subject.startsWith("yjs") ? "yjs" : subject.startsWith("tiny") ? "tinybase" : "@tldraw/sync-core"));
  const before = await used();
  let play = deserialize(readFileSync(file));
  if (isJson) play = JSON.parse(play);
  // What is played later is a view of the file's bytes, all of which it would keep.
  else play.rest = [];
  const store = await load(play);
  play = undefined;
  const unread = await used();
  const { reading = (read) => read(store.get) } = store;
  let seen = 0;
  const readAll = async (get) => {
    for (let n = 0; n < count; n += 1) if (await get(idAt(n))) seen += 1;
  };
  await reading(readAll);
  if (seen !== count) throw new Error(`${subject}: ${seen} of ${count} records`);
  const read = await used();
  if (!(await reading((get) => get(idAt(count - 1))))) throw new Error(`${subject}: the records are gone`);
  tell({ operations: count, unread: (unread - before) / count, read: (read - before) / count });
}

async function used() {
  for (let round = 0; round < 3; round += 1) {
    await new Promise((done) => setTimeout(done, 50));
    globalThis.gc();
  }
  // V8 counts WebAssembly's linear memories among what is external.
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
