// Worlds by seeds: the package with a browser around it that a seed decides. NEAP_SEED=7 plays that one alone, and traces it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { episode } from "./world/episode.mjs";
import { RelayProcess } from "./world/network.mjs";

const only = process.env.NEAP_SEED;
const WORLDS = only ? 1 : process.env.NEAP_LONG ? 3000 : 120;
/** Each is seen in every run, or the worlds are no longer what they were. */
const SIGHTS = [
  "tab", "client", "kill", "close", "closed", "leave", "freeze", "freeze, and it closes", "resume", "cut", "silence", "down", "browser", "power", "power, and writes are lost",
  "disk", "converged", "rest", "reborn", "cut, amid a catch-up",
];

/** Marks of so much weight that a catch-up takes several pages, in a browser of small or of usual bounds. They take their time. */
const heavy = (seed) => ({ weight: 6000, isLarge: seed % 20 === 9 });
/** In every third the datastore is born anew now and then, and every eighth has no locks. */
const kindOf = (seed) => ({ reborn: seed % 3 === 0, lockless: seed % 8 === 4, ...(seed % (process.env.NEAP_LONG ? 10 : 60) === 9 && heavy(seed)) });

let relay;
before(() => (relay = new RelayProcess()));
after(() => relay.stop());

test(`${WORLDS} worlds: nothing that was promised is lost or doubled, whatever befalls tabs, disk and line`, { timeout: 60_000 + WORLDS * 1000 }, async (t) => {
  const from = Number(only ?? 1);
  const seen = new Map();
  let [steps, edits] = [0, 0];
  for (let seed = from; seed < from + WORLDS; seed += 1) {
    try {
      const played = await episode(seed, relay, { trace: only && console.log, judged: seed % 10 === 0, ...kindOf(seed) });
      for (const [sight, count] of played.sights) seen.set(sight, (seen.get(sight) ?? 0) + count);
      steps += played.steps;
      edits += played.edits;
    } catch (error) {
      throw new Error(`NEAP_SEED=${seed}: ${error.message}`, { cause: error });
    }
  }
  t.diagnostic(`${steps} steps, ${edits} edits; ${[...seen].map(([sight, count]) => `${sight} ${count}`).join(", ")}`);
  if (!only) assert.deepEqual(SIGHTS.filter((sight) => !seen.has(sight)), [], "each is seen");
});

test("a world is what its seed says", async () => {
  const [one, other] = [[], []];
  for (const lines of [one, other]) await episode(3, relay, { trace: (line) => lines.push(line) });
  assert.ok(one.length > 100);
  assert.deepEqual(one, other);
});

test("a disk that says more than is true is noticed", async (t) => {
  const noticed = [];
  for (let seed = 1; seed <= 20; seed += 1) await episode(seed, relay, { lies: true }).catch((error) => noticed.push(error.message));
  t.diagnostic(`${noticed.length} of 20`);
  assert.ok(noticed.length >= 10, `${noticed.length}`);
});
