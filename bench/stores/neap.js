import { open as openDatastore } from "neap";

const options = { id: "bench", kind: "permanent", storage: "indexeddb" };

export async function fill(_, relay) {
  const ds = await openDatastore({ ...options, relay });
  await ds.ready;
  await ds.close();
}

/** The relay is gone meanwhile; what it has told is stored under its name. */
export async function open(relay) {
  const ds = await openDatastore({ ...options, relay });
  const tasks = ds.collection("tasks");
  return { get: (id) => tasks.get(id) };
}
