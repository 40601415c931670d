// One subject doing one bench of local work in a process of its own: node child.mjs BENCH SUBJECT RECORDS OPERATIONS
// Prints JSON.

import { records } from "./data.mjs";
import { subjects } from "./subjects.mjs";
import { timed, tell } from "./timed.mjs";

const BATCH = 5000;
const [bench, name, size, operations] = process.argv.slice(2);
const all = records(Number(size));
const some = all.slice(0, Number(operations));
const { make, waits } = subjects[name];
const store = await make(all);

const load = async () => {
  for (let from = 0; from < all.length; from += BATCH) await store.load(all.slice(from, from + BATCH));
};
const ids = some.map(({ id }) => id);
const readAll = store.readAll ? () => store.readAll(ids) : () => ids.forEach((id) => store.get(id));
const visitAll = () => store.each(() => {});
const writeAll = () => some.forEach(({ id, pri }) => store.bump(id, pri + 1));
const writeAllWaiting = async () => {
  for (const { id, pri } of some) await store.bump(id, pri + 1);
};

// What comes before the clock, and what it times.
const benches = {
  bulk: [() => {}, load],
  write: [load, waits ? writeAllWaiting : writeAll],
  get: [async () => (await load(), await readAll()), readAll],
  iterate: [async () => (await load(), await visitAll()), visitAll],
};

const [before, work] = benches[bench];
await before();
await new Promise((done) => setTimeout(done));
const result = await timed(work);
let seen = 0;
await store.each(() => (seen += 1));
// A store that lost records has not done equal work; nor has one whose write is not read back.
const last = some.at(-1);
const found = await store.get(last.id);
const pri = typeof found.get === "function" ? found.get("pri") : found.pri;
if (seen !== all.length || pri !== last.pri + (bench === "write" ? 1 : 0)) throw new Error(`${name}: ${seen} records, pri ${pri}`);
tell({ operations: some.length, ...result });
