// Who is measured. A subject makes a store of its own kind: `load` puts records in within one transaction,
// `bump` writes one field of one record as a transaction of its own, `get` gives a record or its like, and
// `each` visits all. The first is the limit: what plain JavaScript costs.

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
    says: "validates, copies and freezes; each write is queued for an acknowledgement; memory storage, no relay",
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
    says: "MergeableStore: merges by cell with clocks and hashes; no persistence or acknowledgement here",
    make: async () => tinybase((await import("tinybase")).createMergeableStore("bench")),
  },
  yjs: {
    package: "yjs",
    says: "one value per record: merges by record, keeps the caller's object; no copy, validation, persistence or acknowledgement",
    async make() {
      const { Doc } = await import("yjs");
      const doc = new Doc();
      const map = doc.getMap(TABLE);
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
    async make() {
      const { Doc, Map: YMap } = await import("yjs");
      const doc = new Doc();
      const map = doc.getMap(TABLE);
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
};

function tinybase(store) {
  return {
    load: (batch) => store.transaction(() => batch.forEach((record) => store.setRow(TABLE, record.id, record))),
    bump: (id, pri) => store.setCell(TABLE, id, "pri", pri),
    get: (id) => store.getRow(TABLE, id),
    each: (visit) => store.getRowIds(TABLE).forEach((id) => visit(store.getRow(TABLE, id), id)),
  };
}
