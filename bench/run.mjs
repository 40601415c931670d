// The benchmarks: npm run bench [-- NAME...] [--json FILE] [--rounds N] [--records N]
// Subjects take turns, each in a process of its own, so that a loaded minute does not fall on one alone.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "../tools/build.mjs";
import { at, bareEnvironment, bin, isMain, main, run, Trouble } from "../tools/house.mjs";
import { startRelay } from "../tools/relay.mjs";
import { unpaced } from "./data.mjs";
import { setup } from "../tools/setup.mjs";
import { subjects as joiners } from "./catchup.mjs";
import { buildLoad, measure as load, relays } from "./relays.mjs";
import { takers } from "./remote.mjs";
import { subjects } from "./subjects.mjs";

const local = { subjects, prepare: async () => ({ run: (name, subject, records) => child("child.mjs", name, subject, records) }) };
const remote = (pending) => ({ subjects: takers, prepare: (records) => plays(records, Math.min(10_000, Math.floor(records / 7)), Math.min(pending, Math.floor(records / 7))) });
const catchUp = (changes) => ({
  subjects: changes ? Object.fromEntries(Object.entries(joiners).filter(([, { returns }]) => returns)) : joiners,
  prepare: (records) => servers(records, changes && Math.min(changes, records)),
});
const relay = (...mode) => ({
  subjects: relays,
  async prepare(records) {
    await buildLoad();
    // A smoke run is short; who measures does it for five seconds.
    const size = records < 1000 ? { seconds: 1, clients: 3 } : { seconds: 5, clients: 50 };
    return { run: (_, subject) => load(subject, mode, size) };
  },
});

// A bench: its title, who is measured, and what stands ready before anybody is.
const catalogue = {
  write: { title: "local write of one field, each its own mutation", ...local },
  bulk: { title: "bulk load in transactions of 5000", ...local },
  get: { title: "get of every record, after a first pass", ...local },
  iterate: { title: "iteration over every record, after a first pass", ...local },
  remote: { title: "10 000 changes of others, applied one by one", ...remote(0) },
  "remote-pending": { title: "10 000 changes of others over 1000 own pending writes", ...remote(1000) },
  "catch-up": { title: "everything, from a server on this machine", ...catchUp() },
  "catch-up-10": { title: "what changed while away: 10 records", ...catchUp(10) },
  "catch-up-1000": { title: "what changed while away: 1000 records", ...catchUp(1000) },
  "catch-up-10000": { title: "what changed while away: 10 000 records", ...catchUp(10_000) },
  "relay-500": { title: "500 mutations a second to 50 readers, CPU of the relay for each delivered", ...relay("fan-out", 500) },
  "relay-5000": { title: "5000 mutations a second to 50 readers, CPU of the relay for each delivered", ...relay("fan-out", 5000) },
  durable: { title: "50 clients with one mutation in flight each, CPU of the relay for each acknowledged", ...relay("in-flight") },
};
const usage = "usage: npm run bench [-- NAME...] [--json FILE] [--rounds N] [--records N]";

/** Runs these benches and gives what the JSON file holds. */
export async function bench({ names, rounds, records }) {
  await installPeers();
  const benches = [];
  for (const name of names) benches.push({ name, title: catalogue[name].title, rows: await measure(name, rounds, records) });
  return { node: execFileSync(join(bin, "node"), ["--version"], { encoding: "utf8" }).trim(), cpu: cpus()[0]?.model, versions: versions(), data: { records, seed: 1 }, rounds, benches };
}

/** Installs the peers when their lock file asks for others than are there. */
async function installPeers() {
  const hidden = at("bench", "node_modules", ".package-lock.json");
  const have = existsSync(hidden) ? JSON.parse(readFileSync(hidden, "utf8")).packages : {};
  const want = Object.entries(JSON.parse(readFileSync(at("bench", "package-lock.json"), "utf8")).packages);
  if (want.every(([path, p]) => !path || p.optional || p.peer || have[path]?.version === p.version)) return;
  console.log("bench: installing the peers (npm ci in bench/)");
  await run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: at("bench"), env: bareEnvironment() });
}

async function measure(name, rounds, records) {
  const { subjects: measured, prepare } = catalogue[name];
  const runs = Object.fromEntries(Object.keys(measured).map((subject) => [subject, []]));
  const ready = await prepare(records);
  try {
    for (let round = 0; round < rounds; round += 1) {
      for (const subject of Object.keys(measured)) runs[subject].push(await ready.run(name, subject, records));
    }
  } finally {
    ready.end?.();
  }
  return Object.entries(runs).map(([subject, all]) => ({ subject, says: measured[subject].says, ...figures(all) }));
}

/** Medians and spread of what one subject's runs have told. */
function figures(all) {
  const of = (figure) => spread(all.map(figure));
  const done = (one) => one.operations ?? one.delivered ?? one.acknowledged;
  return {
    operations: done(all[0]),
    cpuUs: of((one) => (one.cpuUs ?? one.cpuMs * 1000) / done(one)),
    wallUs: of((one) => (one.wallMs * 1000) / done(one)),
    ...(all[0].bytes !== undefined && { bytesPerJson: of(({ bytes, json }) => bytes / json) }),
    ...(all[0].p99Us !== undefined && { p99Ms: of(({ p99Us }) => p99Us / 1000), late: of(({ wanted, delivered }) => wanted - delivered) }),
    ...(all[0].acknowledged !== undefined && { perSecond: of(({ acknowledged, wallMs }) => (acknowledged * 1000) / wallMs) }),
  };
}

function child(file, ...args) {
  const text = execFileSync(join(bin, "node"), [at("bench", file), ...args.map(String)], { encoding: "utf8", timeout: 300_000 });
  return JSON.parse(text);
}

/** Each subject's writer has made its changes, once. */
async function plays(records, count, pending) {
  const dir = mkdtempSync(join(tmpdir(), "neap-bench-"));
  const end = () => rmSync(dir, { recursive: true, force: true });
  const relay = await startRelay({ data: join(dir, "relay"), vars: unpaced });
  try {
    for (const subject of Object.keys(takers)) await run(join(bin, "node"), [at("bench", "remote.mjs"), "record", subject, String(records), String(count), join(dir, subject), relay.url]);
  } catch (error) {
    end();
    throw error;
  } finally {
    await relay.stop();
  }
  return { run: (_, subject) => child("remote.mjs", "play", subject, records, count, pending, join(dir, subject)), end };
}

/** Each subject's server holds the records, in a process of its own. */
async function servers(records, changes) {
  const processes = [];
  const end = () => processes.forEach((one) => one.kill());
  const urls = {};
  try {
    for (const subject of Object.keys(catchUp(changes).subjects)) {
      const one = spawn(join(bin, "node"), [at("bench", "catchup.mjs"), "serve", subject, String(records)], { stdio: ["ignore", "pipe", "inherit"] });
      processes.push(one);
      const gone = once(one, "exit").then(() => { throw new Trouble(`the server of ${subject} ended`); });
      gone.catch(() => {});
      urls[subject] = String((await Promise.race([once(one.stdout, "data"), gone]))[0]).trim();
    }
  } catch (error) {
    end();
    throw error;
  }
  return { run: (_, subject) => child("catchup.mjs", "join", subject, records, urls[subject], ...(changes ? [changes] : [])), end };
}

function spread(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median, min: sorted[0], max: sorted.at(-1), all: values };
}

function versions() {
  const peers = JSON.parse(readFileSync(at("bench", "package.json"), "utf8")).dependencies;
  return { neap: JSON.parse(readFileSync(at("wasm", "npm", "package.json"), "utf8")).version, ...peers };
}

/** The result as text: a table for each bench, then what each subject does and does not do. */
export function table({ benches }) {
  const lines = [];
  for (const { title, rows } of benches) {
    lines.push("", `${title} (µs per operation, median, least to most)`, `${"".padEnd(20)}${"CPU".padStart(9)}${"".padEnd(18)}${"wall".padStart(9)}   × limit`);
    for (const row of rows) {
      const { subject, cpuUs, wallUs } = row;
      const range = `  ${cpuUs.min.toFixed(2)} to ${cpuUs.max.toFixed(2)}`.padEnd(18);
      const times = cpuUs.median / rows[0].cpuUs.median;
      lines.push(`${subject.padEnd(20)}${cpuUs.median.toFixed(2).padStart(9)}${range}${wallUs.median.toFixed(2).padStart(9)}${times.toFixed(1).padStart(10)}${more(row)}`);
    }
  }
  const says = benches.flatMap(({ name, rows }) => rows.map(({ subject, says }) => `${subject} in ${name.replace(/-.*/, "")}: ${says}`));
  return [...lines, "", ...new Set(says.map((line) => line.replace(/ in (write|bulk|get|iterate):/, ":")))].join("\n");
}

function more({ bytesPerJson, p99Ms, late, perSecond }) {
  if (bytesPerJson) return `   ${bytesPerJson.median.toFixed(2)} × the JSON`;
  if (p99Ms) return `   p99 ${p99Ms.median.toFixed(1)} ms${late.median > 0 ? `, ${late.median} never came` : ""}`;
  return perSecond ? `   ${perSecond.median.toFixed(0)} a second` : "";
}

function parse(args) {
  const options = { names: [], rounds: 5, records: 100_000 };
  for (let i = 0; i < args.length; i += 1) {
    const arg = args[i];
    if (arg === "--json") options.json = args[(i += 1)] ?? wrong(`${arg} needs a file`);
    else if (arg === "--rounds" || arg === "--records") options[arg.slice(2)] = whole(arg, args[(i += 1)]);
    else if (Object.hasOwn(catalogue, arg)) options.names.push(arg);
    else wrong(`no bench ${arg}; the benches are ${Object.keys(catalogue).join(" ")}`);
  }
  if (options.names.length === 0) options.names = Object.keys(catalogue);
  return options;
}

function whole(flag, text) {
  return /^[1-9]\d{0,6}$/.test(text ?? "") ? Number(text) : wrong(`${flag} needs a whole number from 1`);
}

function wrong(what) {
  throw new Trouble(`${what}; ${usage}`, 2);
}

if (isMain(import.meta.url)) {
  await main("bench", async (args) => {
    const options = parse(args);
    await setup({ browser: false, lints: false });
    await build(["package", "relay"]);
    const result = await bench(options);
    console.log(table(result));
    if (options.json) writeFileSync(options.json, `${JSON.stringify(result, null, 2)}\n`);
  });
}
