// The benches: for each its title, what is measured, who is measured, who is not and why, and what stands ready before
// anybody is. `prepare` gives `run`, which measures one subject once in a process of its own; `rest`, if any, comes
// before each round.

import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { at, bin, run } from "../tools/house.mjs";
import { startRelay } from "../tools/relay.mjs";
import { clients, measure as measureBundle } from "./bundle.mjs";
import { unpaced } from "./data.mjs";
import { prepare as hydrate, stores } from "./hydrate.mjs";
import { joiners } from "./joiners.mjs";
import { holders, writeRecords } from "./memory.mjs";
import { reactors } from "./reactive.mjs";
import { buildLoad, buildWorkers, durable, swift, measure as load, relays } from "./relays.mjs";
import { servers } from "./servers.mjs";
import { subjects } from "./subjects.mjs";
import { takers } from "./takers.mjs";
import { prepare as wake, sleepers } from "./wake.mjs";

const child = async (args, { gc = false } = {}) => {
  const flags = gc ? ["--expose-gc"] : [];
  const [file, ...more] = args.map(String);
  const { stdout } = await promisify(execFile)(join(bin, "node"), [...flags, at("bench", file), ...more], { timeout: 300_000 });
  return JSON.parse(stdout);
};

const temporary = () => mkdtempSync(join(tmpdir(), "neap-bench-"));
const gone = (dir) => rmSync(dir, { recursive: true, force: true });
const least = (...numbers) => Math.min(...numbers.filter((number) => number !== undefined));

// What is measured: from one run to one number. The first of a bench is what its bars show.
const cpu = { key: "cpu", label: "CPU", unit: "µs per operation", of: ({ cpuMs, operations }) => (cpuMs * 1000) / operations };
const wall = { key: "wall", label: "wall", unit: "µs per operation", of: ({ wallMs, operations }) => (wallMs * 1000) / operations };
const overJson = { key: "bytes", label: "bytes", unit: "× the JSON of the records", of: ({ bytes, json }) => bytes / json };
const figure = (key, label, unit, field = key) => ({ key, label, unit, of: (one) => one[field] });

const noSync = { tinybase: "Store does not sync" };

function local(title, leftOut) {
  const measured = Object.fromEntries(Object.entries(subjects).filter(([name]) => !leftOut?.[name]));
  const sizes = (name, subject, records) => {
    const { cap = {} } = subjects[subject];
    const held = least(records, cap.records);
    return [held, name === "write" ? least(held, cap.operations) : held];
  };
  return {
    title,
    measures: [cpu, wall],
    subjects: measured,
    leftOut,
    prepare: async (records, name) => ({ run: (subject) => child(["child.mjs", name, subject, ...sizes(name, subject, records)]) }),
  };
}

/** Each subject's writer has made its changes, once. */
async function plays(names, size, work) {
  const dir = temporary();
  const relay = await startRelay({ data: join(dir, "relay"), vars: unpaced });
  const files = {};
  try {
    for (const name of names) {
      const [records, changes] = size(takers[name].cap ?? {});
      files[name] = join(dir, name);
      await run(join(bin, "node"), [at("bench", "remote.mjs"), "record", name, `${records}`, `${changes}`, files[name], relay.url]);
    }
    return { run: work(files, dir), end: () => gone(dir) };
  } catch (error) {
    gone(dir);
    throw error;
  } finally {
    await relay.stop();
  }
}

const remote = (title, pending) => ({
  title,
  measures: [cpu, wall],
  subjects: takers,
  leftOut: { ...noSync, replicache: "hears of changes by pulling a patch when it is poked, never one by one" },
  prepare(records) {
    const size = (cap) => {
      const held = least(records, cap.records);
      return [held, least(10_000, Math.floor(held / 7), cap.operations), least(pending, Math.floor(held / 7), cap.pending)];
    };
    const play = (files) => (subject) => child(["remote.mjs", "play", subject, ...size(takers[subject].cap ?? {}), files[subject]]);
    return plays(Object.keys(takers), size, play);
  },
});

const memory = {
  title: "memory of a record that others have written",
  measures: [figure("unread", "unread", "bytes per record"), figure("read", "all read", "bytes per record")],
  subjects: holders,
  prepare(records) {
    const held = (cap = {}) => least(records, cap.records);
    return plays(Object.keys(holders).filter((name) => !holders[name].isJson), (cap) => [held(cap), 1], (files, dir) => {
      const json = join(dir, "json");
      writeRecords(records, json);
      return (subject) => child(["memory.mjs", subject, held(holders[subject].cap), files[subject] ?? json], { gc: true });
    });
  },
};

const catchUp = (title, changes) => ({
  title,
  measures: [cpu, wall, overJson],
  subjects: changes ? Object.fromEntries(Object.entries(joiners).filter(([, { back }]) => back)) : joiners,
  ...(changes && { leftOut: { json: "has no notion of what has changed", replicache: "leaves what has changed to the app's own server" } }),
  async prepare(records) {
    const held = (subject) => least(records, joiners[subject].cap?.records);
    const away = (subject) => (changes ? [least(changes, held(subject), joiners[subject].cap?.changes)] : []);
    const { urls, end } = await servers(Object.keys(this.subjects), held);
    return { run: (subject) => child(["catchup.mjs", "join", subject, held(subject), urls[subject], ...away(subject)]), end };
  },
});

const isSmoke = (records) => records < 1000;
const perDelivered = { ...cpu, unit: "µs of the relay's CPU for each delivered", of: ({ cpuUs, delivered }) => cpuUs / delivered };
const latency = { key: "p99", label: "p99", unit: "ms", of: ({ p99Us }) => p99Us / 1000 };
const missed = { key: "missed", label: "never came", unit: "of all", of: ({ delivered, wanted }) => 1 - delivered / wanted };
const part = (key, label) => ({ key, label, unit: "of all", of: (one) => one[key] / one.wanted });
const fanOut = [perDelivered, latency, missed, part("paged", "by pages to readers left behind"), part("merged", "within a newer one of the same record")];
const perAcknowledged = { ...cpu, unit: "µs of the relay's CPU for each", of: ({ cpuUs, acknowledged }) => cpuUs / acknowledged };
const rate = { key: "rate", label: "acknowledged", unit: "a second", more: true, of: ({ acknowledged, wallMs }) => (acknowledged * 1000) / wallMs };

const relay = (title, measured, measures, [seconds, ...mode], leftOut) => ({
  title,
  measures,
  subjects: measured,
  leftOut,
  async prepare(records) {
    await Promise.all([buildLoad(), buildWorkers()]);
    const size = isSmoke(records) ? { seconds: 1, clients: 3 } : { seconds, clients: 50 };
    const speed = mode[1] && isSmoke(records) ? [mode[0], least(mode[1], 100)] : mode;
    return { run: (subject) => load(subject, speed, size) };
  },
});

const silent = "acknowledges nothing";
const slow = "takes in fewer than 5000 a second on this machine: what is measured would be how it drowns";
const perFrame = "sends a frame for each mutation: 250 000 a second are more than this machine carries, and what each costs stands at 500";

export const catalogue = {
  write: local("local write of one field, each its own mutation"),
  bulk: local("bulk load in transactions of 5000"),
  get: local("get of every record, after a first pass"),
  iterate: local("iteration over every record, after a first pass"),
  remote: remote("10 000 changes of others, applied one by one", 0),
  "remote-pending": remote("10 000 changes of others over 1000 own pending writes", 1000),
  "catch-up": catchUp("everything, from a server on this machine, nothing compressed"),
  "catch-up-10": catchUp("what changed while away: 10 records", 10),
  "catch-up-1000": catchUp("what changed while away: 1000 records", 1000),
  "catch-up-10000": catchUp("what changed while away: 10 000 records", 10_000),
  memory,
  reactive: {
    title: "100 live queries over 10 000 records, five of them touched by a transaction",
    measures: [figure("p50", "p50", "ms", "p50Ms"), figure("p95", "p95", "ms", "p95Ms")],
    subjects: reactors,
    leftOut: { yjs: "no queries", loro: "no queries", automerge: "no queries" },
    prepare: async (records) => ({ run: (subject) => child(["reactive.mjs", subject, least(records, 10_000)]) }),
  },
  hydrate: {
    title: "from IndexedDB to the first record, in a Chromium that has just started",
    measures: [figure("first", "first read", "ms", "firstMs"), figure("all", "all read", "ms", "allMs"), figure("load", "its script", "ms", "loadMs")],
    subjects: stores,
    leftOut: { "tinybase-mergeable": "its IndexedDB persister takes a Store alone", loro: "no storage of its own", automerge: "no storage of its own here", tldraw: "its storage is the editor's" },
    prepare: hydrate,
  },
  bundle: {
    title: "what a browser loads: minified, gzip, WebAssembly included",
    once: true,
    measures: [{ key: "gzip", label: "gzip", unit: "kB", of: ({ gzipBytes }) => gzipBytes / 1000 }, { key: "raw", label: "minified", unit: "kB", of: ({ rawBytes }) => rawBytes / 1000 }],
    subjects: clients,
    prepare: async () => ({ run: measureBundle }),
  },
  "relay-500": relay("500 mutations a second to 50 readers", relays, fanOut, [5, "fan-out", 500]),
  "relay-5000": relay("5000 mutations a second to 50 readers", swift, fanOut, [3, "fan-out", 5000], { partyserver: perFrame, "y-partyserver": perFrame, tinybase: perFrame, "tinybase-persisted": perFrame, tldraw: slow }),
  durable: relay("durable mutations, 50 clients with one in flight each", durable, [rate, perAcknowledged], [4, "in-flight"], { partyserver: `stores nothing, ${silent}`, "y-partyserver": silent, tinybase: silent, "tinybase-persisted": silent }),
  wake: {
    title: "the first message to an object that has slept, until its answer",
    measures: [figure("full", "with all records", "ms", "fullMs"), figure("empty", "empty", "ms", "emptyMs")],
    subjects: sleepers,
    leftOut: { partyserver: "keeps nothing that could be loaded", tinybase: "keeps nothing that could be loaded" },
    async prepare(records) {
      await buildWorkers();
      return wake(records);
    },
  },
};
