// Who is measured at local work. A subject makes a store of its own kind: `load` puts records in within one
// transaction, `bump` writes one field of one record as a transaction of its own, `get` gives a record or its like,
// and `each` visits all; one that `waits` gives promises. The first is the limit: what plain JavaScript costs.
// `cap` bounds the records and the writes of whoever would take minutes for all of them.

const TABLE = "tasks";

export const subjects = {
  map: {
    says: "limit: JSON.parse of each record into a Map. No persistence, acknowledgement, merge or validation",
    async make(all) {
      const map = new Map();
      const texts = all.map((record) => JSON.stringify(record));
      let next = 0;
      return {
        load: (batch) => batch.forEach(({ id }) => map.set(id, JSON.parse(texts[next++]))),
        bump: (id, pri) => map.set(id, { ...map.get(id), pri }),
        get: (id) => map.get(id),
        each: (visit) => {
          for (const [key, record] of map) visit(record, key);
        },
      };
    },
  },
  neap: {
    says: "validates, copies and freezes; each write is queued for an acknowledgement; memory storage, no relay; what was loaded is indexed for reading when first read, which in write is timed",
    async make() {
      const { open } = await import("neap");
      const ds = await open({ relay: null, storage: "memory" });
      const tasks = ds.collection(TABLE);
      return {
        load: (batch) => ds.transact((tx) => {
          const inside = tx.collection(TABLE);
          for (const record of batch) inside.set(record);
        }),
        bump: (id, pri) => tasks.set({ ...tasks.get(id), pri }),
        get: (id) => tasks.get(id),
        each: (visit) => {
          for (const [key, record] of tasks) visit(record, key);
        },
      };
    },
  },
  tinybase: {
    package: "tinybase",
    says: "Store: checks types of cells; no persistence, acknowledgement or merge here",
    make: async () => tinybase((await import("tinybase")).createStore()),
  },
  "tinybase-mergeable": {
    package: "tinybase",
    cap: { records: 20_000 },
    says: "MergeableStore: merges by cell with clocks and hashes; no persistence or acknowledgement here",
    make: async () => tinybase((await import("tinybase")).createMergeableStore("bench")),
  },
  yjs: {
    package: "yjs",
    says: "one value per record: merges by record, keeps the caller's object; no copy, validation, persistence or acknowledgement",
    make: async () => {
      const { doc, map } = await yjs();
      return {
        load: (batch) => doc.transact(() => batch.forEach((record) => map.set(record.id, record))),
        bump: (id, pri) => map.set(id, { ...map.get(id), pri }),
        get: (id) => map.get(id),
        each: (visit) => map.forEach(visit),
      };
    },
  },
  "yjs-nested": {
    package: "yjs",
    says: "a Y.Map per record: merges by field; no validation, persistence or acknowledgement; a read gives a Y.Map",
    make: async () => {
      const { doc, map, YMap } = await yjs();
      return {
        load: (batch) => doc.transact(() => batch.forEach((record) => map.set(record.id, new YMap(Object.entries(record))))),
        bump: (id, pri) => map.get(id).set("pri", pri),
        get: (id) => map.get(id),
        each: (visit) => map.forEach(visit),
      };
    },
  },
  loro: {
    package: "loro-crdt",
    says: "one value per record, a commit per write: merges by record, keeps history; no validation, persistence or acknowledgement",
    async make() {
      const { LoroDoc } = await import("loro-crdt");
      const doc = new LoroDoc();
      const map = doc.getMap(TABLE);
      return {
        load: (batch) => {
          batch.forEach((record) => map.set(record.id, record));
          doc.commit();
        },
        bump: (id, pri) => {
          map.set(id, { ...map.get(id), pri });
          doc.commit();
        },
        get: (id) => map.get(id),
        each: (visit) => map.entries().forEach(([key, record]) => visit(record, key)),
      };
    },
  },
  automerge: {
    package: "@automerge/automerge",
    cap: { records: 2000, operations: 100 },
    says: "one change per write: merges by field, keeps history; no validation, persistence or acknowledgement",
    async make() {
      const { change, from } = await import("@automerge/automerge");
      let doc = from({ [TABLE]: {} });
      return {
        load: (batch) => (doc = change(doc, (draft) => batch.forEach((record) => (draft[TABLE][record.id] = record)))),
        bump: (id, pri) => (doc = change(doc, (draft) => (draft[TABLE][id].pri = pri))),
        get: (id) => doc[TABLE][id],
        each: (visit) => Object.entries(doc[TABLE]).forEach(([key, record]) => visit(record, key)),
      };
    },
  },
  "tldraw-store": {
    package: "@tldraw/store",
    says: "a signal per record, immutable records, a history for whoever listens; no validator, persistence, acknowledgement or merge here",
    async make() {
      const { Store } = await import("@tldraw/store");
      const { idOf, schema, toRecord } = await import("./tldraw.mjs");
      const store = new Store({ schema: schema(), props: {} });
      return {
        load: (batch) => store.put(batch.map(toRecord)),
        bump: (id, pri) => store.update(idOf(id), (record) => ({ ...record, pri })),
        get: (id) => store.get(idOf(id)),
        each: (visit) => store.allRecords().forEach((record) => visit(record, record.id)),
      };
    },
  },
  replicache: {
    package: "replicache",
    waits: true,
    cap: { operations: 5000 },
    says: "memory store: a mutator per write, awaited, kept for a push; reads of a bench share one transaction; no merge, validation or persistence here",
    async make() {
      const { Replicache, TEST_LICENSE_KEY } = await import("replicache");
      const key = (id) => `task/${id}`;
      const mutators = {
        load: async (tx, batch) => {
          for (const record of batch) await tx.set(key(record.id), record);
        },
        bump: async (tx, { id, pri }) => tx.set(key(id), { ...(await tx.get(key(id))), pri }),
      };
      const rep = new Replicache({ name: "bench", licenseKey: TEST_LICENSE_KEY, kvStore: "mem", logLevel: "error", mutators });
      return {
        load: (batch) => rep.mutate.load(batch),
        bump: (id, pri) => rep.mutate.bump({ id, pri }),
        get: (id) => rep.query((tx) => tx.get(key(id))),
        readAll: (ids) => rep.query(async (tx) => {
          for (const id of ids) await tx.get(key(id));
        }),
        each: (visit) => rep.query(async (tx) => {
          for await (const [name, record] of tx.scan({ prefix: "task/" }).entries()) visit(record, name);
        }),
      };
    },
  },
};

async function yjs() {
  const { Doc, Map: YMap } = await import("yjs");
  const doc = new Doc();
  return { doc, map: doc.getMap(TABLE), YMap };
}

function tinybase(store) {
  return {
    load: (batch) => store.transaction(() => batch.forEach((record) => store.setRow(TABLE, record.id, record))),
    bump: (id, pri) => store.setCell(TABLE, id, "pri", pri),
    get: (id) => store.getRow(TABLE, id),
    each: (visit) => store.getRowIds(TABLE).forEach((id) => visit(store.getRow(TABLE, id), id)),
  };
}
