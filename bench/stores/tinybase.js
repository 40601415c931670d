import { createStore } from "tinybase/store";
import { createIndexedDbPersister } from "tinybase/persisters/persister-indexed-db";

export async function fill(all) {
  const store = createStore();
  store.transaction(() => all.forEach((record) => store.setRow("tasks", record.id, record)));
  await createIndexedDbPersister(store, "tinybase").save();
}

export async function open() {
  const store = createStore();
  await createIndexedDbPersister(store, "tinybase").load();
  return { get: (id) => (store.hasRow("tasks", id) ? store.getRow("tasks", id) : undefined) };
}
