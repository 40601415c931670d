// Every bench with small sizes: equal work was done, and the result has its shape. No time is judged.

import assert from "node:assert/strict";
import { test } from "node:test";
import { records } from "../data.mjs";
import { bench, merge } from "../run.mjs";
import { footnotes, table } from "../table.mjs";

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
