// The reactive loop: 100 live queries, a transaction that touches five of them, until all five have given their new
// result.
//   node reactive.mjs SUBJECT RECORDS     prints JSON

import { isMain } from "../tools/house.mjs";
import { records } from "./data.mjs";
import { tell } from "./timed.mjs";

const TABLE = "tasks";
const LISTS = 100;
const DIRTY = 5;
const LOOPS = 220;
const WARM = 20;

/** `load` puts the records in, `watch` runs a live query of one list, `write` writes records in one transaction. */
export const reactors = {
  map: {
    says: "limit: a Map for each list, and its values given to a callback",
    async make() {
      const lists = Array.from({ length: LISTS }, () => new Map());
      const heard = new Map();
      const write = (some) => {
        for (const record of some) lists[record.list].set(record.id, record);
        for (const list of new Set(some.map(({ list }) => list))) heard.get(list)?.([...lists[list].values()]);
      };
      return { load: write, watch: (list, hear) => heard.set(list, hear), write };
    },
  },
  neap: {
    says: "queries `where: { list }`, kept up to date by increments; a result is a new array",
    async make() {
      const { open } = await import("neap");
      const ds = await open({ relay: null, storage: "memory" });
      const put = (some) => ds.transact((tx) => some.forEach((record) => tx.collection(TABLE).set(record)));
      return {
        load: put,
        watch(list, hear) {
          const query = ds.collection(TABLE).query({ where: { list } });
          query.subscribe(() => hear(query.value));
        },
        write: put,
      };
    },
  },
  tinybase: {
    says: "queries with `where`, over a Store; a listener of the result's table reads its row ids",
    async make() {
      const { createQueries, createStore } = await import("tinybase");
      const store = createStore();
      const queries = createQueries(store);
      const put = (some) => store.transaction(() => some.forEach((record) => store.setRow(TABLE, record.id, record)));
      return {
        load: put,
        watch(list, hear) {
          const name = `list-${list}`;
          queries.setQueryDefinition(name, TABLE, ({ select, where }) => {
            for (const cell of ["title", "done", "pri", "ts"]) select(cell);
            where("list", list);
          });
          queries.addResultTableListener(name, () => hear(queries.getResultRowIds(name)));
        },
        write: put,
      };
    },
  },
  "tldraw-store": {
    says: "queries of records by an index, as signals that an effect reads",
    async make() {
      const { Store } = await import("@tldraw/store");
      const { react } = await import("@tldraw/state");
      const { schema, toRecord } = await import("./tldraw.mjs");
      const store = new Store({ schema: schema(), props: {} });
      const put = (some) => store.put(some.map(toRecord));
      return {
        load: put,
        watch(list, hear) {
          const found = store.query.records("task", () => ({ list: { eq: list } }));
          react(`list ${list}`, () => hear(found.get()));
        },
        write: put,
      };
    },
  },
  replicache: {
    says: "subscriptions that scan the list's keys; run again when one of these keys has changed",
    async make() {
      const { Replicache, TEST_LICENSE_KEY } = await import("replicache");
      const mutators = {
        write: async (tx, some) => {
          for (const record of some) await tx.set(`${record.list}/${record.id}`, record);
        },
      };
      const rep = new Replicache({ name: "bench", licenseKey: TEST_LICENSE_KEY, kvStore: "mem", logLevel: "error", mutators });
      const watch = (list, hear) => rep.subscribe((tx) => tx.scan({ prefix: `${list}/` }).values().toArray(), { onData: hear });
      return { load: rep.mutate.write, watch, write: rep.mutate.write };
    },
  },
};

if (isMain(import.meta.url)) {
  const [subject, size] = process.argv.slice(2);
  const all = records(Number(size)).map((record, n) => ({ ...record, list: n % LISTS }));
  const store = await reactors[subject].make();
  // In halves: a mutation of Neap is bounded.
  for (let at = 0; at < all.length; at += 5000) await store.load(all.slice(at, at + 5000));
  // A query may give its first result at once: that is not counted.
  const sizes = new Map();
  let awaited = new Set();
  let finish = () => {};
  for (let list = 0; list < LISTS; list += 1) {
    await store.watch(list, (result) => {
      sizes.set(list, result.length);
      if (awaited.delete(list) && awaited.size === 0) finish();
    });
  }
  await new Promise((done) => setTimeout(done, 300));
  const taken = [];
  for (let loop = 0; loop < LOOPS; loop += 1) {
    const dirty = Array.from({ length: DIRTY }, (_, n) => ({ ...all[(loop * 37 + n * 11) % all.length], pri: 100 + loop }));
    awaited = new Set(dirty.map(({ list }) => list));
    const finished = new Promise((done) => (finish = done));
    const start = performance.now();
    store.write(dirty);
    await finished;
    taken.push(performance.now() - start);
  }
  const least = Math.floor(all.length / LISTS);
  if ([...sizes.values()].some((size) => size < least)) throw new Error(`${subject}: a query lost records`);
  const sorted = taken.slice(WARM).sort((a, b) => a - b);
  const quantile = (part) => sorted[Math.floor(sorted.length * part)];
  tell({ operations: sorted.length, p50Ms: quantile(0.5), p95Ms: quantile(0.95) });
}
