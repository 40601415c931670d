// Every bench with small sizes: equal work was done, and the output has its shape. No time is judged.

import assert from "node:assert/strict";
import { test } from "node:test";
import { records } from "../data.mjs";
import { bench, table } from "../run.mjs";

test("the data is decided by its seed and is of the promised size", () => {
  assert.deepEqual(records(50), records(50));
  const bytes = JSON.stringify(records(1000)).length / 1000;
  assert.ok(bytes > 80 && bytes < 120, `${bytes} bytes a record`);
});

test("every bench runs every subject and tells medians and spread", async () => {
  const names = ["write", "bulk", "get", "iterate", "remote", "remote-pending", "catch-up", "catch-up-10", "relay-500", "durable"];
  const result = await bench({ names, rounds: 1, records: 50 });
  assert.deepEqual(result.benches.map(({ name }) => name), names);
  const subjects = ["map", "neap", "tinybase", "tinybase-mergeable", "yjs", "yjs-nested", "loro"];
  const takers = ["neap", "tinybase-mergeable", "yjs", "loro"];
  const joiners = ["json", "neap", "yjs", "tinybase-mergeable"];
  const relays = ["null", "raw", "neap"];
  const who = { "relay-500": relays, durable: relays, remote: takers, "remote-pending": takers, "catch-up": joiners, "catch-up-10": ["neap"] };
  for (const { name, rows } of result.benches) {
    assert.deepEqual(rows.map(({ subject }) => subject), who[name] ?? subjects);
    for (const { cpuUs, wallUs, says, bytesPerJson, late, perSecond } of rows) {
      assert.ok(says);
      assert.equal(bytesPerJson !== undefined, name.startsWith("catch-up"));
      if (name === "relay-500") assert.equal(late.median, 0);
      assert.equal(perSecond !== undefined, name === "durable");
      for (const { median, min, max, all } of [cpuUs, wallUs]) assert.ok(min <= median && median <= max && all.length === 1);
    }
  }
  assert.match(table(result), /^neap: validates/m);
});
