// A replica that was away longer than the relay's history reaches back.

import assert from "node:assert/strict";
import { test } from "node:test";
import { startRelay } from "../../../tools/relay.mjs";
import { open } from "../dist/index.js";
import { tempDir, until } from "./house.mjs";

test("away during 30 000 changes with a history of 1000: it comes back equal, its 50 pending edits applied once", async (t) => {
  const relay = await startRelay({ data: tempDir(t), vars: { NEAP_HISTORY: "1000", NEAP_RATE_MUTATIONS: "1000000", NEAP_RATE_BYTES: "1000000000" } });
  t.after(() => relay.stop());
  const replica = async (id) => {
    const ds = await open({ relay: relay.url, storage: "memory", ...(id && { id }) });
    t.after(() => ds.close());
    await ds.ready;
    return ds;
  };
  const told = async () => (await fetch(`${relay.url}/v1/datastores/${source.id}`)).json();

  const source = await replica();
  const theirs = source.collection("tasks");
  for (let n = 0; n < 100; n++) theirs.set({ id: `old${n}`, n });
  const { seq } = await theirs.set({ id: "mine", n: 0 }).settled;
  const away = await replica(source.id);
  const resets = [];
  away.on("reset", ({ reason }) => resets.push(reason));
  away.goOffline();

  // Records that come and go leave tombstones, many more than the history keeps.
  for (let n = 0; n < 14_950; n++) {
    theirs.set({ id: `t${n}` });
    theirs.delete(`t${n}`);
  }
  for (let n = 0; n < 100; n++) {
    if (n < 50) theirs.delete(`old${n}`);
    else theirs.patch(`old${n}`, { n: -n });
  }
  await source.settled();
  assert.equal(source.seq, seq + 30_000);
  await until(async () => (await told()).horizon > seq, "the horizon");

  // Fifty edits: new records, patches of what is there and of what is gone, and a chain of conditions.
  const mine = away.collection("tasks");
  const fresh = Array.from({ length: 20 }, (_, n) => mine.set({ id: `new${n}` }));
  const kept = Array.from({ length: 10 }, (_, n) => mine.patch(`old${50 + n}`, { by: "away" }));
  const gone = Array.from({ length: 10 }, (_, n) => mine.patch(`old${n}`, { by: "away" }));
  const chain = Array.from({ length: 10 }, (_, n) => mine.patch("mine", { n: n + 1 }, { ifSeq: mine.meta("mine").seq }));
  assert.equal(away.status.pending, 50);

  // The connection breaks once more on the way back: what was pushed then is pushed again.
  const start = performance.now();
  away.goOnline();
  await until(() => away.status.pending < 50 || away.status.connection === "live", "the way back");
  away.goOffline();
  away.goOnline();
  await away.settled();
  t.diagnostic(`back and settled in ${Math.round(performance.now() - start)} ms`);

  const outcomes = async (mutations) => (await Promise.all(mutations.map(({ settled }) => settled))).map(({ status, code }) => code ?? status);
  assert.deepEqual(await outcomes([...fresh, ...kept, ...chain]), Array(40).fill("accepted"));
  assert.deepEqual(await outcomes(gone), Array(10).fill("not-found"));
  assert.deepEqual(resets, ["history"]);
  await until(() => source.seq === away.seq && source.digest === away.digest, "equal digests");
  const { seq: head, records, digest } = await told();
  assert.deepEqual([head, records, digest], [seq + 30_040, 71, away.digest], "forty took a seq each, and no more");
  assert.deepEqual([...mine.entries()], [...theirs.entries()]);
  assert.deepEqual([mine.get("mine"), mine.get("old50")], [{ id: "mine", n: 10 }, { id: "old50", n: -50, by: "away" }]);
});
