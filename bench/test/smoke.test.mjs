// Every bench with small sizes: equal work was done, and the result has its shape. No time is judged.

import assert from "node:assert/strict";
import { test } from "node:test";
import { records } from "../data.mjs";
import { bench, merge } from "../run.mjs";
import { footnotes, summary, table } from "../table.mjs";
import { targets, verdicts } from "../targets.mjs";

const locals = ["map", "neap", "tinybase", "tinybase-mergeable", "yjs", "yjs-nested", "loro", "automerge", "tldraw-store", "replicache"];
const takers = ["neap", "tinybase-mergeable", "yjs", "yjs-nested", "loro", "automerge", "tldraw"];
const joiners = ["json", "neap", "yjs", "loro", "tinybase-mergeable", "tldraw", "automerge", "replicache"];
const who = {
  write: locals,
  bulk: locals,
  get: locals,
  iterate: locals,
  remote: takers,
  "remote-pending": takers,
  "catch-up": joiners,
  "catch-up-10": joiners.slice(1, -1),
  memory: ["map", "neap", "tinybase", "tinybase-mergeable", "yjs", "yjs-nested", "loro", "automerge", "tldraw", "replicache"],
  reactive: ["map", "neap", "tinybase", "tldraw-store", "replicache"],
  hydrate: ["json", "neap", "tinybase", "y-indexeddb", "replicache"],
  bundle: ["neap", "tinybase-store", "tinybase", "yjs", "loro", "automerge", "tldraw", "replicache"],
  "relay-500": ["null", "raw", "neap", "partyserver", "y-partyserver", "tinybase", "tinybase-persisted", "tldraw"],
  "relay-5000": ["null", "raw", "neap"],
  durable: ["null", "raw", "neap", "tldraw"],
  wake: ["raw", "neap", "y-partyserver", "tinybase-persisted", "tldraw"],
};
// The same as one that is in, with another number.
const same = { "catch-up-1000": "catch-up-10", "catch-up-10000": "catch-up-10" };
const results = [];

test("the data is decided by its seed and is of the promised size", () => {
  assert.deepEqual(records(50), records(50));
  const bytes = JSON.stringify(records(1000)).length / 1000;
  assert.ok(bytes > 80 && bytes < 120, `${bytes} bytes a record`);
});

test("every bench is run here", async () => {
  const { catalogue } = await import("../catalogue.mjs");
  assert.deepEqual(Object.keys(catalogue).sort(), [...Object.keys(who), ...Object.keys(same)].sort());
  for (const [name, like] of Object.entries(same)) assert.deepEqual(Object.keys(catalogue[name].subjects), who[like]);
});

for (const [name, subjects] of Object.entries(who)) {
  test(`the bench ${name} measures everyone`, async () => {
    const result = await bench(name, { rounds: 1, records: 200 });
    results.push(result);
    assert.deepEqual(result.rows.map(({ subject }) => subject), subjects);
    for (const { subject, says, operations, figures } of result.rows) {
      assert.ok(says && operations > 0, subject);
      for (const { key } of result.measures) {
        const { median, min, max, all } = figures[key];
        assert.ok(Number.isFinite(median) && min <= median && median <= max && all.length === 1, `${subject} ${key}`);
      }
      if (name.startsWith("relay-")) assert.equal(figures.missed.median, 0, `${subject} lost something`);
    }
    for (const { subject, why } of result.leftOut) assert.ok(why.length > 5 && !subjects.includes(subject));
  });
}

test("each bench has its targets, and each target the figures that it stands on", () => {
  const all = [...results, ...Object.entries(same).map(([name, like]) => ({ ...results.find((one) => one.name === like), name }))];
  assert.deepEqual(Object.keys(targets).sort(), all.map(({ name }) => name).sort());
  for (const one of all)
    for (const { says, value, bound, met } of verdicts(one, all)) assert.ok(value > 0 && bound > 0 && typeof met === "boolean", `${one.name}: ${says}`);
});

test("a target is met up to its bound, missed beyond it, and open without what it stands on", () => {
  const rows = (figures) => Object.entries(figures).map(([subject, median]) => ({ subject, says: subject === "raw" ? "limit" : "", operations: 1, figures: { cpu: { median, min: median, max: median }, rate: { median, min: median, max: median } } }));
  const made = (name, figures) => ({ name, title: name, records: 1, measures: [{ key: name === "durable" ? "rate" : "cpu", label: "CPU", unit: "µs", more: name === "durable" }], rows: rows(figures) });
  const say = (bench, others = []) => verdicts(bench, [bench, ...others]).map(({ met, by }) => [met, by]);
  assert.deepEqual(say(made("write", { neap: 3, yjs: 4 })), [[true, "25 % below"], [true, "just there"]]);
  assert.deepEqual(say(made("write", { neap: 6, yjs: 6 })), [[false, "just there"], [false, "2.0 × as much"]]);
  assert.deepEqual(say(made("durable", { raw: 1, neap: 5 })), [[true, "just there"]]);
  assert.deepEqual(say(made("durable", { raw: 1, neap: 4 })), [[false, "20 % below"]]);
  const swift = made("relay-5000", { raw: 1, neap: 3 });
  assert.deepEqual(say(swift), [[undefined, "not known yet"]]);
  const slow = made("relay-500", { raw: 1, neap: 20 });
  assert.deepEqual(say(swift, [slow]), [[true, "25 % below"]]);
  const told = summary([swift, made("write", { neap: 6, yjs: 4 })]);
  assert.match(told, /^0 of 3 targets met/m);
  assert.match(told, /^write +MISSED at most 3 µs: CPU 6\.00, bound 3\.00 µs, 2\.0 × as much$/m);
  assert.match(table(swift, [swift, slow]), /^target met/m);
  assert.match(table(made("bulk", { map: 1, neap: 6, yjs: 4 })), /^neap: BEHIND map/m);
});

test("results are told as a table with footnotes, and merge into what is there by name", () => {
  for (const one of results) for (const { subject } of one.rows) assert.match(table(one), new RegExp(`^${subject} `, "m"));
  assert.match(footnotes(results), new RegExp(`^neap in ${results[0].name}\\b.*: `, "m"));
  const order = Object.keys(who);
  const [one, two] = results;
  const first = merge(merge(null, two, order), one, order);
  assert.deepEqual(first.benches.map(({ name }) => name), [one.name, two.name]);
  const again = merge(first, { ...two, rounds: 9 }, order);
  assert.deepEqual(again.benches.map(({ rounds }) => rounds), [1, 9]);
});
