import { IndexeddbPersistence, storeState } from "y-indexeddb";
import { Doc } from "yjs";

const stored = async () => {
  const doc = new Doc();
  const persistence = new IndexeddbPersistence("yjs", doc);
  await persistence.whenSynced;
  return { doc, persistence };
};

export async function fill(all) {
  const { doc, persistence } = await stored();
  const map = doc.getMap("tasks");
  doc.transact(() => all.forEach((record) => map.set(record.id, record)));
  // One update holds everything: the best that it can find.
  await storeState(persistence);
  await persistence.destroy();
}

export async function open() {
  const { doc } = await stored();
  const map = doc.getMap("tasks");
  return { get: (id) => map.get(id) };
}
