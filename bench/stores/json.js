// The limit: all records as one JSON text under one key of IndexedDB.

const database = () =>
  new Promise((resolve, reject) => {
    const request = indexedDB.open("json", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("page");
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

const done = (request) => new Promise((resolve, reject) => ((request.onsuccess = () => resolve(request.result)), (request.onerror = () => reject(request.error))));

export async function fill(all) {
  const db = await database();
  await done(db.transaction("page", "readwrite").objectStore("page").put(JSON.stringify(all), "all"));
}

export async function open() {
  const db = await database();
  const text = await done(db.transaction("page").objectStore("page").get("all"));
  const map = new Map(JSON.parse(text).map((record) => [record.id, record]));
  return { get: (id) => map.get(id) };
}
