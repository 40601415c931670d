// Merge pools over HTTP: what is added, what is known, what comes back.

import assert from "node:assert/strict";
import { test } from "node:test";
import { assertProblem, relay, token } from "./house.mjs";

const items = (id, pool = "p") => `/v1/datastores/${id}/pools/${pool}/items`;

async function opened(t, options) {
  const r = await relay(t, options);
  await r.call("POST", "/v1/datastores", { id: "a", ttl: 600 });
  const add = (list, rest = {}, headers) => r.call("POST", items("a"), { items: list, ...rest }, headers);
  const read = (query = "") => r.call("GET", items("a") + query);
  return { r, add, read };
}

test("known items cost nothing, and one round trip brings what is missing", async (t) => {
  const { r, add, read } = await opened(t);
  const { epoch } = (await r.call("GET", "/v1/datastores/a")).body;
  const nothing = { epoch, items: [], seq: 0, next: null, reset: false, converged: false };
  assert.deepEqual((await read()).body, nothing);
  const first = await add([{ b: 1, a: [2, "é"] }, "text", 7, null, true]);
  assert.equal(first.status, 200);
  assert.deepEqual(first.body, { epoch, added: 5, seq: 5, missing: [], next: null, refused: [] });
  // The same in other words, and a new one.
  const second = await add([{ a: [2.0, "\u00e9"], b: 1e0 }, 7.0, "new"]);
  assert.deepEqual([second.body.added, second.body.seq], [1, 6]);
  assert.deepEqual(second.body.missing.map((item) => item.data), ["text", null, true]);
  const later = await add(["new", "newer"], { since: 4 });
  assert.deepEqual(later.body.missing, [{ data: true, seq: 5 }]);
  assert.deepEqual((await read("?since=5")).body.items, [{ data: "new", seq: 6 }, { data: "newer", seq: 7 }]);
  assert.deepEqual((await read("?limit=2")).body.next, 2);
  assert.equal((await read("?since=99")).body.reset, true);
  assert.equal((await read("?since=3&epoch=0000000000000000")).body.items.length, 7);
  // Pools count apart from records, and from each other.
  const other = await r.call("POST", items("a", "q"), { items: ["text"] });
  assert.deepEqual([other.body.added, other.body.seq], [1, 1]);
  const { seq, records, digest } = (await r.call("GET", "/v1/datastores/a")).body;
  assert.deepEqual([seq, records, digest], [0, 0, "0".repeat(32)]);
  await r.restart();
  assert.equal((await read()).body.items.length, 7);
});

test("a pool is read whole, as far as one answer reaches", async (t) => {
  const { add, read } = await opened(t);
  const many = Array.from({ length: 5000 }, (_, n) => `item ${n}`);
  assert.equal((await add(many)).body.added, 5000);
  const { items, next } = (await read()).body;
  assert.deepEqual([items.length, next], [5000, null]);
  assert.deepEqual((await read("?limit=1000")).body.next, 1000);
});

test("an answer that does not reach the head says so in its seq, so that nobody passes over what it left out", async (t) => {
  const { add, read } = await opened(t);
  const sent = Array.from({ length: 60 }, (_, n) => `${n} `.padEnd(60_000, "x"));
  for (let n = 0; n < 60; n += 15) await add(sent.slice(n, n + 15));
  const found = [];
  let answers = 0;
  for (let since = 0; since < 60; answers += 1) {
    const { items, seq, next } = (await read(`?since=${since}`)).body;
    assert.equal(seq, items.at(-1).seq);
    assert.equal(next, seq < 60 ? seq : null);
    found.push(...items.map(({ data }) => data));
    since = seq;
  }
  assert(answers > 1, `${answers} answers`);
  assert.deepEqual(found, sent);
  const { added, seq, missing, next } = (await add(["new"])).body;
  assert.deepEqual([added, seq, next], [1, missing.at(-1).seq, missing.at(-1).seq]);
  assert(seq < 60);
});

test("under one primary the last arrival wins", async (t) => {
  const { add, read } = await opened(t);
  await add([{ id: "x", v: 1 }, { id: "y", v: 1 }], { primary: "id" });
  const again = await add([{ v: 1, id: "x" }, { id: "x", v: 2 }, { id: "" }, { id: 3 }]);
  assert.deepEqual([again.body.added, again.body.seq], [3, 5]);
  assert.deepEqual((await read()).body.items, [
    { data: { id: "y", v: 1 }, seq: 2 },
    { data: { id: "x", v: 2 }, seq: 3 },
    { data: { id: "" }, seq: 4 },
    { data: { id: 3 }, seq: 5 },
  ]);
  assertProblem(await add(["z"], { primary: "key" }), 409, "options-mismatch");
  assertProblem(await add(["z"], { retain: "converged" }), 409, "options-mismatch");
  assert.equal((await add(["z"], { primary: "id", retain: "ttl" })).status, 200);
});

test("bad items are refused by their place, the rest is taken", async (t) => {
  const { r, add, read } = await opened(t);
  const deep = JSON.parse("[".repeat(33) + "]".repeat(33));
  const mixed = await add(["a", deep, "x".repeat(256 * 1024), "b"]);
  assert.deepEqual(mixed.body.refused, [{ index: 1, code: "invalid-data" }, { index: 2, code: "too-large" }]);
  assert.equal(mixed.body.added, 2);
  const twice = await r.call("POST", items("a"), '{"items":[{"a":1,"a":2},1e999]}');
  assert.deepEqual(twice.body.refused?.map(({ index }) => index) ?? twice.status, [0, 1]);
  assert.equal((await read()).body.seq, 2);
  for (const [body, code] of [
    [{}, "invalid-request"],
    [{ items: "a" }, "invalid-request"],
    [{ items: [], retain: "ever" }, "invalid-options"],
    [{ items: [], primary: "" }, "invalid-options"],
    ["{", "invalid-json"],
  ]) {
    assertProblem(await r.call("POST", items("a"), body), 400, code);
  }
  assertProblem(await r.call("POST", items("a", "a b"), { items: [] }), 400, "invalid-name");
  assertProblem(await r.call("GET", items("a", "x".repeat(65))), 400, "invalid-name");
  assertProblem(await r.call("GET", items("none")), 404, "not-found");
  assertProblem(await r.call("POST", items("none"), { items: [] }), 404, "not-found");
  assert.equal((await r.call("PUT", items("a"), {})).headers.get("allow"), "GET, HEAD, POST, OPTIONS");
});

test("a repeat under an Idempotency-Key is answered like the first", async (t) => {
  const { r, add } = await opened(t);
  const key = { "Idempotency-Key": "k" };
  const items = ["a", "\ud800"];
  await add(["before"]);
  const first = await add(items, {}, key);
  assert.deepEqual([first.body.added, first.body.seq, first.body.refused], [1, 2, [{ index: 1, code: "invalid-data" }]]);
  assert.deepEqual((await add(items, {}, key)).body, first.body);
  // What is missing is read anew, and not kept; what has come since is no part of it.
  await add(["b"]);
  assert.deepEqual((await add(items, {}, key)).body, first.body);
  assertProblem(await add(["c"], {}, key), 422, "idempotency-mismatch");
  for (let n = 0; n < 12; n += 1) await add([`${n}`.padEnd(100_000)]);
  const much = await add(["d"], {}, { "Idempotency-Key": "much" });
  assert(much.text.length > 1_000_000);
  assert.equal((await add(["d"], {}, { "Idempotency-Key": "much" })).text, much.text);
  // It was told all up to its own, though by now that is a part of a page.
  const early = await add(["early"], { since: much.body.seq }, { "Idempotency-Key": "early" });
  for (let n = 0; n < 24; n += 1) await add([`later ${n}`.padEnd(100_000)]);
  const again = await add(["early"], { since: much.body.seq }, { "Idempotency-Key": "early" });
  assert.deepEqual([again.body, again.body.next], [early.body, null]);
  const lines = (await r.call("GET", "/v1/datastores/a/export")).text.trimEnd().split("\n").map((line) => JSON.parse(line));
  const kept = lines.filter(({ type }) => type === "answer").map(({ value }) => value.length);
  assert(kept.length === 3 && Math.max(...kept) < 100, `${kept} bytes`);
  const mismatch = () => add(["e"], { primary: "k" }, { "Idempotency-Key": "no" });
  const refused = await mismatch();
  assertProblem(refused, 409, "options-mismatch");
  assert.deepEqual([(await mismatch()).type, (await mismatch()).text], [refused.type, refused.text]);
});

test("so is one that found no room", async (t) => {
  const { r, add } = await opened(t, { vars: { NEAP_MAX_RECORDS: "1" } });
  const record = "/v1/datastores/a/collections/c/records/k";
  assert.equal((await r.call("PUT", record, {})).status, 200);
  const key = { "Idempotency-Key": "k" };
  const full = await add(["a"], {}, key);
  assertProblem(full, 507, "storage-full");
  assert.equal((await r.call("DELETE", record)).status, 200);
  const again = await add(["a"], {}, key);
  assert.deepEqual([again.status, again.type, again.text], [507, full.type, full.text]);
  assert.equal((await add(["a"])).body.added, 1);
});

test("adding needs a token that may write, reading one that may read", async (t) => {
  const r = await relay(t, { vars: { NEAP_SECRET: "s" } });
  const as = (scope, method, path, body) => {
    const claims = { ds: "a", scope: [scope], sub: "ann", exp: Math.floor(Date.now() / 1000) + 600 };
    return r.call(method, path, body, { Authorization: `Bearer ${token("s", claims)}` });
  };
  await as("write", "POST", "/v1/datastores", { id: "a" });
  assertProblem(await as("read", "POST", items("a"), { items: ["x"] }), 403, "forbidden");
  assert.equal((await as("write", "POST", items("a"), { items: ["x"] })).body.added, 1);
  assert.equal((await as("read", "GET", items("a"))).body.items.length, 1);
});
