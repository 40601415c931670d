// The benchmarks: npm run bench [-- NAME...] [--json FILE] [--rounds N] [--records N]
// Subjects take turns, each in a process of its own, so that a loaded minute does not fall on one alone.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { build } from "../tools/build.mjs";
import { at, bareEnvironment, bin, isMain, main, run, Trouble } from "../tools/house.mjs";
import { setup } from "../tools/setup.mjs";
import { subjects } from "./subjects.mjs";

const titles = {
  write: "local write of one field, each its own mutation",
  bulk: "bulk load in transactions of 5000",
  get: "get of every record, after a first pass",
  iterate: "iteration over every record, after a first pass",
};
const usage = "usage: npm run bench [-- NAME...] [--json FILE] [--rounds N] [--records N]";

/** Runs these benches and gives what the JSON file holds. */
export async function bench({ names, rounds, records }) {
  await installPeers();
  const benches = names.map((name) => ({ name, title: titles[name], rows: measure(name, rounds, records) }));
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

function measure(name, rounds, records) {
  const runs = Object.fromEntries(Object.keys(subjects).map((subject) => [subject, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const subject of Object.keys(subjects)) runs[subject].push(child(name, subject, records));
  }
  return Object.entries(runs).map(([subject, all]) => ({
    subject,
    says: subjects[subject].says,
    operations: records,
    cpuUs: spread(all.map((one) => (one.cpuMs * 1000) / one.operations)),
    wallUs: spread(all.map((one) => (one.wallMs * 1000) / one.operations)),
  }));
}

function child(name, subject, records) {
  const text = execFileSync(join(bin, "node"), [at("bench", "child.mjs"), name, subject, String(records)], { encoding: "utf8", timeout: 300_000 });
  return JSON.parse(text);
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
    for (const { subject, cpuUs, wallUs } of rows) {
      const range = `  ${cpuUs.min.toFixed(2)} to ${cpuUs.max.toFixed(2)}`.padEnd(18);
      const times = cpuUs.median / rows[0].cpuUs.median;
      lines.push(`${subject.padEnd(20)}${cpuUs.median.toFixed(2).padStart(9)}${range}${wallUs.median.toFixed(2).padStart(9)}${times.toFixed(1).padStart(10)}`);
    }
  }
  return [...lines, "", ...Object.entries(subjects).map(([name, { says }]) => `${name}: ${says}`)].join("\n");
}

function parse(args) {
  const options = { names: [], rounds: 5, records: 100_000 };
  for (let i = 0; i < args.length; i += 1) {
    const arg = args[i];
    if (arg === "--json") options.json = args[(i += 1)] ?? wrong(`${arg} needs a file`);
    else if (arg === "--rounds" || arg === "--records") options[arg.slice(2)] = whole(arg, args[(i += 1)]);
    else if (Object.hasOwn(titles, arg)) options.names.push(arg);
    else wrong(`no bench ${arg}; the benches are ${Object.keys(titles).join(" ")}`);
  }
  if (options.names.length === 0) options.names = Object.keys(titles);
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
    await build(["package"]);
    const result = await bench(options);
    console.log(table(result));
    if (options.json) writeFileSync(options.json, `${JSON.stringify(result, null, 2)}\n`);
  });
}
