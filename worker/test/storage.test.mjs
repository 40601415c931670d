// The contract of core's Storage on real SQLite, and a trap in the middle of it all. Both need a relay built
// with the feature `contract`, which no shipped one has.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { assertProblem, contractBuild, native, relay, set, until } from "./house.mjs";

const skip = native && "a door of workerd's relay; the server's own tests hold the contract";
let build;
before(async () => {
  build = skip ? undefined : await contractBuild();
});

test("SQLite keeps the contract of core's Storage", { skip }, async (t) => {
  const r = await relay(t, { build });
  const kept = await r.call("POST", "/v1/datastores/contract/contract");
  assert.equal(kept.status, 204, kept.text);
  assert.deepEqual(r.databases(), [], "it has cleared what it wrote");
});

test("the shipped relay has no such door", async (t) => {
  const r = await relay(t);
  assert.equal((await r.call("POST", "/v1/datastores/contract/contract")).status, 404);
});

test("a trap costs no socket, no record and no other datastore anything", { skip }, async (t) => {
  const r = await relay(t, { build });
  const [a, b, other] = [await r.socket("a"), await r.socket("a"), await r.socket("other")];
  for (const raw of [a, b, other]) await raw.greet();
  await a.outcome(a.push([set("c", "before")]));
  await other.outcome(other.push([set("c", "before")]));
  assertProblem(await r.call("POST", "/v1/datastores/a/contract", "trap"), 503, "unavailable");
  assert.equal((await a.outcome(a.push([set("c", "after")]))).seq, 2);
  await until("the other socket of the same object has heard", () => b.seq === 2);
  assert.equal((await other.outcome(other.push([set("c", "after")]))).seq, 2);
  for (const raw of [a, b, other]) assert.equal(raw.closed, null);
});
