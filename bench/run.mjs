// The benchmarks: npm run bench [-- NAME...] [--json FILE] [--rounds N] [--records N]
// Subjects take turns, each in a process of its own, so that a loaded minute does not fall on one alone. With a JSON
// file, each bench is written into it as soon as it is done, in the place of what the file had of the same name.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg } from "node:os";
import { join } from "node:path";
import { build } from "../tools/build.mjs";
import { at, bin, isMain, main, Trouble } from "../tools/house.mjs";
import { setup } from "../tools/setup.mjs";
import { installPeers } from "./peers.mjs";
import { footnotes, summary, table } from "./table.mjs";

const usage = "usage: npm run bench [-- NAME...] [--json FILE] [--rounds N] [--records N]";

/** Runs one bench and gives what the JSON file holds of it. */
export async function bench(name, { rounds, records }) {
  const { catalogue } = await import("./catalogue.mjs");
  const { title, measures, subjects, leftOut = {}, once, ...rest } = catalogue[name];
  const runs = Object.fromEntries(Object.keys(subjects).map((subject) => [subject, []]));
  const load = [loadavg()[0]];
  const ready = await rest.prepare.call(catalogue[name], records, name);
  try {
    for (let round = 0; round < (once ? 1 : rounds); round += 1) {
      await ready.rest?.();
      for (const subject of Object.keys(subjects)) runs[subject].push(await ready.run(subject));
    }
  } finally {
    await ready.end?.();
  }
  load.push(loadavg()[0]);
  const rows = Object.entries(runs).map(([subject, all]) => {
    const { says } = subjects[subject];
    const operations = all[0].operations ?? all[0].delivered ?? all[0].acknowledged;
    return { subject, says, operations, figures: Object.fromEntries(measures.map(({ key, of }) => [key, spread(all.map(of))])) };
  });
  const kinds = measures.map(({ of, ...kind }) => kind);
  const excuses = Object.entries(leftOut).map(([subject, why]) => ({ subject, why }));
  return { name, title, date: new Date().toISOString().slice(0, 10), records, rounds: once ? 1 : rounds, load, measures: kinds, rows, leftOut: excuses };
}

function spread(measured) {
  const values = measured.map((value) => Number(value.toPrecision(5)));
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median, min: sorted[0], max: sorted.at(-1), all: values };
}

/** What all benches of a run have in common. */
export function machine() {
  const peers = JSON.parse(readFileSync(at("bench", "package.json"), "utf8")).dependencies;
  const neap = JSON.parse(readFileSync(at("wasm", "npm", "package.json"), "utf8")).version;
  const node = execFileSync(join(bin, "node"), ["--version"], { encoding: "utf8" }).trim();
  const { workerd } = JSON.parse(readFileSync(at("package.json"), "utf8")).devDependencies;
  return { node, cpu: cpus()[0]?.model, cores: availableParallelism(), versions: { neap, workerd, ...peers }, data: { seed: 1 } };
}

/** The file's benches with this one in its place, in the order of the catalogue. */
export function merge(before, one, order) {
  const benches = [...(before?.benches ?? []).filter(({ name }) => name !== one.name), one];
  return { ...machine(), benches: benches.sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name)) };
}

/** JSON in which each spread is a line. */
function lines(result) {
  const spreads = /\{\s+"median": [^}]+\}/g;
  return `${JSON.stringify(result, null, 2).replace(spreads, (text) => text.replace(/\s+/g, " "))}\n`;
}

function parse(args, known) {
  const options = { names: [], rounds: 5, records: 100_000 };
  for (let i = 0; i < args.length; i += 1) {
    const arg = args[i];
    if (arg === "--json") options.json = args[(i += 1)] ?? wrong(`${arg} needs a file`);
    else if (arg === "--rounds" || arg === "--records") options[arg.slice(2)] = whole(arg, args[(i += 1)]);
    else if (known.includes(arg)) options.names.push(arg);
    else wrong(`no bench ${arg}; the benches are ${known.join(" ")}`);
  }
  if (options.names.length === 0) options.names = known;
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
    await setup({ browser: true, lints: false });
    await installPeers();
    const { catalogue } = await import("./catalogue.mjs");
    const order = Object.keys(catalogue);
    const { names, json, ...size } = parse(args, order);
    await build(["package", "relay"]);
    const done = [];
    const failed = [];
    // What the file has of other benches decides targets that stand on two.
    let kept = json && existsSync(json) ? JSON.parse(readFileSync(json, "utf8")) : null;
    for (const name of names) {
      const start = Date.now();
      try {
        done.push(await bench(name, size));
      } catch (error) {
        // One that fails must not cost what the others take minutes for.
        console.error(error);
        failed.push(name);
        continue;
      }
      kept = merge(kept, done.at(-1), order);
      console.log(`${table(done.at(-1), kept.benches)}\n(${((Date.now() - start) / 1000).toFixed(0)} s)`);
      if (json) writeFileSync(json, lines(kept));
    }
    console.log(footnotes(done));
    console.log(summary(kept?.benches ?? []));
    if (failed.length > 0) throw new Trouble(`failed: ${failed.join(" ")}`);
  });
}
