// Every bench with small sizes: equal work was done, and the output has its shape. No time is judged.

import assert from "node:assert/strict";
import { test } from "node:test";
import { records } from "../data.mjs";
import { bench, table } from "../run.mjs";
import { subjects } from "../subjects.mjs";

test("the data is decided by its seed and is of the promised size", () => {
  assert.deepEqual(records(50), records(50));
  const bytes = JSON.stringify(records(1000)).length / 1000;
  assert.ok(bytes > 80 && bytes < 120, `${bytes} bytes a record`);
});

test("every bench runs every subject and tells medians and spread", async () => {
  const names = ["write", "bulk", "get", "iterate"];
  const result = await bench({ names, rounds: 1, records: 50 });
  assert.deepEqual(result.benches.map(({ name }) => name), names);
  for (const { rows } of result.benches) {
    assert.deepEqual(rows.map(({ subject }) => subject), Object.keys(subjects));
    assert.equal(rows[0].subject, "map", "the limit comes first");
    for (const { cpuUs, wallUs, says } of rows) {
      assert.ok(says);
      for (const { median, min, max, all } of [cpuUs, wallUs]) assert.ok(min <= median && median <= max && all.length === 1);
    }
  }
  assert.match(table(result), /^neap: validates/m);
});
