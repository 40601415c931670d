// What the journal makes of the frames that come, before any of it is on a disk.

import assert from "node:assert/strict";
import { test } from "node:test";
import { source } from "./house.mjs";

const { Journal } = await source("journal.ts");
const { CATCHING_UP, JOURNAL_NOTHING, JOURNAL_PAGES, LIVE } = await source("core.ts");

/** A journal over a core that is told what it is to say. */
function journal() {
  const now = { seq: 0, phase: CATCHING_UP, journal: JOURNAL_NOTHING };
  const says = {
    seq: () => now.seq,
    phase: () => now.phase,
    journal: () => now.journal,
    epoch: () => "e",
    checksum: (bytes) => bytes[0],
    poolNews: () => 0,
  };
  const stored = { replica: {}, blocks: [], steps: [], stamp: "s", isDamaged: false, logBytes: 0, pageBytes: 0 };
  const made = new Journal(says, { kind: "indexeddb" }, stored, {});
  /** A page that leads to `seq`, the last one in `phase`. */
  const page = (number, from, seq, phase, journal) => {
    Object.assign(now, { seq, phase, journal });
    made.frame(new Uint8Array([number]), from, CATCHING_UP);
  };
  return { made, page };
}

test("a catch-up that begins where another has just ended is a step of its own", () => {
  const { made, page } = journal();
  page(1, 0, 0, CATCHING_UP, JOURNAL_NOTHING);
  // The last page, after which more was asked for at once.
  page(2, 0, 5, CATCHING_UP, JOURNAL_PAGES);
  page(3, 5, 5, CATCHING_UP, JOURNAL_NOTHING);
  page(4, 5, 7, LIVE, JOURNAL_PAGES);
  const steps = made.steps.map(({ from, to, frames, sums }) => [from, to, frames.map(([number]) => number), sums]);
  assert.deepEqual(steps, [
    [0, 5, [1, 2], [1, 2]],
    [5, 7, [3, 4], [3, 4]],
  ]);
});
