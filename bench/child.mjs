// One subject doing one bench in a process of its own: node child.mjs BENCH SUBJECT RECORDS. Prints JSON.

import { records } from "./data.mjs";
import { subjects } from "./subjects.mjs";

const BATCH = 5000;
const [bench, name, size] = process.argv.slice(2);
const all = records(Number(size));
const store = await subjects[name].make(all);

const load = () => {
  for (let from = 0; from < all.length; from += BATCH) store.load(all.slice(from, from + BATCH));
};
const readAll = () => all.forEach(({ id }) => store.get(id));
const visitAll = () => store.each(() => {});

// What comes before the clock, and what it times.
const benches = {
  bulk: [() => {}, load],
  write: [load, () => all.forEach(({ id, pri }) => store.bump(id, pri + 1))],
  get: [() => (load(), readAll()), readAll],
  iterate: [() => (load(), visitAll()), visitAll],
};

const [before, work] = benches[bench];
before();
// Work put off by one turn belongs to what was asked for: it is waited for, and counted.
const turn = () => new Promise((done) => setTimeout(done));
await turn();
const cpu = process.cpuUsage();
const start = performance.now();
work();
await turn();
const wall = performance.now() - start;
const used = process.cpuUsage(cpu);
let seen = 0;
store.each(() => (seen += 1));
// A store that lost records has not done equal work; nor has one whose write is not read back.
const last = all.at(-1);
const found = store.get(last.id);
const pri = typeof found.get === "function" ? found.get("pri") : found.pri;
if (seen !== all.length || pri !== last.pri + (bench === "write" ? 1 : 0)) throw new Error(`${name}: ${seen} records, pri ${pri}`);
process.stdout.write(JSON.stringify({ operations: all.length, wallMs: wall, cpuMs: (used.user + used.system) / 1000 }), () => process.exit(0));
