// The interface row by row, each with its bounds: what http.test.mjs, pools.test.mjs and archive.test.mjs do not ask.

import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { text } from "node:stream/consumers";
import { before, test } from "node:test";
import { assertProblem, relay, set, sleep } from "./house.mjs";
import { hello } from "./wire.mjs";

let r;
let call;
before(async (t) => {
  r = await relay(t);
  call = (method, path, ...rest) => r.call(method, `/v1/datastores${path}`, ...rest);
});

let count = 0;
async function fresh(options = {}) {
  const id = `r${(count += 1)}`;
  assert.equal((await call("POST", "", { id, ttl: 600, ...options })).status, 201);
  return id;
}

/** A request whose path goes out as it stands: `fetch` would take `..` for a way up. */
async function bare(method, path, body) {
  const asked = request(r.url(), { method, path: `/v1/datastores${path}` });
  asked.end(body && JSON.stringify(body));
  const [answer] = await once(asked, "response");
  const said = await text(answer);
  const type = answer.headers["content-type"] ?? "";
  return { status: answer.statusCode, type, text: said, body: said && JSON.parse(said) };
}

/** Every path of a datastore, with a request that is sound. */
const every = [
  ["GET", ""],
  ["PATCH", "", { ttl: 5 }],
  ["DELETE", ""],
  ["GET", "/collections/c/records"],
  ["GET", "/collections/c/records/k"],
  ["PUT", "/collections/c/records/k", {}],
  ["PATCH", "/collections/c/records/k", {}],
  ["DELETE", "/collections/c/records/k"],
  ["POST", "/mutations", { ops: [set("c", "k")] }],
  ["GET", "/changes"],
  ["GET", "/pools/p/items"],
  ["POST", "/pools/p/items", { items: [1] }],
  ["GET", "/stats"],
  ["GET", "/export"],
];

test("what is described has these members and no others, with these defaults", async () => {
  const at = Date.now();
  const made = await call("POST", "", { id: "defaults" });
  const life = Date.parse(made.body.expiresAt) - at;
  assert(life >= 3_600_000 && life < 3_610_000, `${life} ms`);
  assert.deepEqual(Object.keys(made.body), ["id", "kind", "primary", "expiresAt", "epoch", "seq", "created"]);
  const found = await call("GET", "/defaults");
  const { epoch, expiresAt, ...rest } = found.body;
  assert.deepEqual(rest, { id: "defaults", kind: "temp", primary: "id", seq: 0, horizon: 0, records: 0, digest: "0".repeat(32) });
  assert.deepEqual([epoch, expiresAt], [made.body.epoch, made.body.expiresAt]);
  assert.equal(found.type, "application/json");
  assert.equal(found.headers.get("cache-control"), "no-store");
});

test("names reach to 64 characters, keys to 512 bytes", async () => {
  const longest = "A-z_9".padEnd(64, "x");
  const id = (await call("POST", "", { id: longest })).body.id;
  assert.equal(id, longest);
  assertProblem(await call("POST", "", { id: `${longest}x` }), 400, "invalid-name");
  assertProblem(await call("POST", "", { id: "" }), 400, "invalid-name");
  const key = "é".repeat(256);
  const path = (key, collection = longest) => `/${id}/collections/${collection}/records/${encodeURIComponent(key)}`;
  assert.equal((await call("PUT", path(key), {})).status, 200);
  assert.equal((await call("GET", path(key))).body.key, key);
  assertProblem(await call("PUT", path(`${key}x`), {}), 400, "invalid-key");
  assertProblem(await call("PUT", path("", "c"), {}), 400, "invalid-key");
  assertProblem(await call("PUT", path("k", `${longest}x`), {}), 400, "invalid-name");
  for (const odd of ["a/b", "a%b", "a+b c", "\u0000", "?#&=", "…", '"', "%2F"]) {
    assert.equal((await call("PUT", path(odd), { odd })).status, 200, odd);
    assert.deepEqual((await call("GET", path(odd))).body.data, { odd, id: odd });
  }
  // Clients that follow the URL standard cannot say these; others can.
  for (const [raw, key] of [["%2E", "."], ["%2e%2E", ".."], ["%2E.", ".."], ["a\\b", "a\\b"]]) {
    const at = `/${id}/collections/${longest}/records/${raw}`;
    assert.equal((await bare("PUT", at, { key })).status, 200, raw);
    assert.deepEqual((await bare("GET", at)).body.data, { key, id: key });
    assert.equal((await bare("DELETE", at)).status, 200);
  }
  for (const broken of ["%", "%zz", "a%2", "%u0041", "%%41"])
    assertProblem(await bare("PUT", `/${id}/collections/${longest}/records/${broken}`, {}), 400, "invalid-key");
  for (const [method, rest, body] of every.filter(([, rest]) => /^.(collections|pools)/.test(rest))) {
    const bad = rest.replace(/\/(c|p)\//, "/a.b/");
    assertProblem(await call(method, `/${id}${bad}`, body), 400, "invalid-name");
  }
});

test("a datastore that is absent, gone or expired is 404 on every path", async () => {
  const id = await fresh();
  await call("DELETE", `/${id}`);
  const [expired] = [await fresh({ ttl: 1 })];
  const { expiresAt } = (await call("GET", `/${expired}`)).body;
  while (Date.now() <= Date.parse(expiresAt)) await sleep(10);
  for (const name of ["never", id, expired]) {
    for (const [method, rest, body] of every) {
      assertProblem(await call(method, `/${name}${rest}`, body), 404, "not-found");
    }
  }
});

test("a wrong method is 405 with what is allowed, on every path", async () => {
  const allowed = { "/pools/p/items": "GET, HEAD, POST, OPTIONS", "/export": "GET, HEAD, OPTIONS", "/import": "POST, OPTIONS" };
  for (const [path, allow] of Object.entries(allowed)) {
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"].filter((method) => !allow.includes(method))) {
      const answer = await call(method, `/a${path}`);
      assertProblem(answer, 405, "method-not-allowed");
      assert.equal(answer.headers.get("allow"), allow);
    }
    assert.equal((await call("OPTIONS", `/a${path}`)).headers.get("allow"), allow);
  }
  assertProblem(await call("GET", "/a/socket"), 426, "upgrade-required");
});

test("broken JSON is 400 on every path that takes a body", async () => {
  const id = await fresh();
  for (const [method, rest, body] of every.filter(([, , body]) => body)) {
    for (const broken of ["{", '{"a":}', "\u00e9", new Uint8Array([0x7b, 0xc3, 0x28, 0x7d])]) {
      assertProblem(await call(method, `/${id}${rest}`, broken), 400, "invalid-json");
    }
    const large = await call(method, `/${id}${rest}`, `${JSON.stringify(body)}${" ".repeat(1024 * 1024)}`);
    assertProblem(large, 413, "too-large");
  }
  assertProblem(await call("POST", "", " ".repeat(1024 * 1024 + 1)), 413, "too-large");
});

test("a change of life is bounded as its beginning is", async () => {
  const id = await fresh({ ttl: 500, sliding: true });
  for (const ttl of [0, -1, 1.5, 2_592_001, 1e300]) {
    assertProblem(await call("PATCH", `/${id}`, { ttl }), 400, "invalid-options");
  }
  for (const body of ['{"ttl":"5"}', '{"kind":7}', "[]", "7"]) {
    assertProblem(await call("PATCH", `/${id}`, body), 400, "invalid-request");
  }
  const life = (answer) => Math.round((Date.parse(answer.body.expiresAt) - Date.now()) / 1_000);
  const changed = await call("PATCH", `/${id}`, { ttl: 2_592_000 });
  assert.equal(life(changed), 2_592_000);
  assert.deepEqual(Object.keys(changed.body), ["id", "kind", "primary", "expiresAt", "epoch", "seq", "horizon", "records", "digest"]);
  assert.equal(life(await call("PATCH", `/${id}`, { ttl: 100, kind: "temp" })), 100);
  await call("POST", `/${id}/mutations`, { ops: [set("c", "k")] });
  assert.equal(life(await call("GET", `/${id}`)), 100, "a sliding life has the length that was given last");
  const forever = await call("PATCH", `/${id}`, { ttl: 7, kind: "permanent" });
  assert.deepEqual([forever.body.kind, forever.body.expiresAt], ["permanent", null]);
  assert.equal((await call("PATCH", `/${id}`, { ttl: 7 })).body.expiresAt, null, "what is permanent stays so");
});

test("whoever is connected hears of the end", async () => {
  const id = await fresh();
  const s = await r.socket(id);
  await s.greet();
  assert.equal((await call("DELETE", `/${id}`)).status, 204);
  assert.deepEqual(await s.whenClosed(), { code: 4410, reason: "expired" });
  const again = await r.socket(id);
  again.send(hello({ epoch: s.epoch, authors: [{ id: s.id, generation: 2 }] }));
  assert.deepEqual(await again.whenClosed(), { code: 4410, reason: "expired" });
  assertProblem(await call("GET", `/${id}`), 404, "not-found");
});

test("conditions on what is not there, and on what is read", async () => {
  const id = await fresh();
  const path = `/${id}/collections/c/records/k`;
  for (const match of ['"1"', "*"]) {
    assertProblem(await call("DELETE", path, undefined, { "If-Match": match }), 412, "precondition-failed");
    assertProblem(await call("PATCH", path, {}, { "If-Match": match }), 412, "precondition-failed");
  }
  assertProblem(await call("DELETE", path, undefined, { "If-None-Match": "*" }), 404, "not-found");
  assertProblem(await call("PATCH", path, {}, { "If-None-Match": "*" }), 404, "not-found");
  await call("PUT", path, { v: 1 });
  assertProblem(await call("PATCH", path, {}, { "If-None-Match": "*" }), 412, "precondition-failed");
  assertProblem(await call("DELETE", path, undefined, { "If-None-Match": "*" }), 412, "precondition-failed");
  const known = await call("GET", path, undefined, { "If-None-Match": '"7", "1"' });
  assert.deepEqual([known.status, known.text, known.headers.get("etag")], [304, "", '"1"']);
  assert.equal((await call("GET", path, undefined, { "If-None-Match": '"7"' })).status, 200);
  assertProblem(await call("GET", path, undefined, { "If-Match": '"7"' }), 412, "precondition-failed");
  const removed = await call("PATCH", path, { v: null });
  assert.deepEqual((await call("GET", path)).body, { key: "k", data: { id: "k" }, seq: removed.body.seq });
});

test("pages have bounds, and end where there is nothing more", async () => {
  const id = await fresh();
  await call("POST", `/${id}/mutations`, { ops: [set("c", "a"), set("c", "b")] });
  await call("POST", `/${id}/pools/p/items`, { items: [1, 2, 3] });
  for (const [path, from] of [["/collections/c/records", "after"], ["/changes", "since"], ["/pools/p/items", "since"]]) {
    for (const limit of ["1", "10000"]) assert.equal((await call("GET", `/${id}${path}?limit=${limit}`)).status, 200);
    const bad = ["limit=0", "limit=10001", "limit=-1", "limit=1.5", "limit=x", `${from}=-1`, `${from}=x`, `${from}=9007199254740992`, `${from}=1e1`];
    for (const query of bad) assertProblem(await call("GET", `/${id}${path}?${query}`), 400, "invalid-query");
    assert.equal((await call("GET", `/${id}${path}?${from}=9007199254740991`)).status, 200);
  }
  const { body } = await call("GET", `/${id}/changes?limit=1`);
  assert.deepEqual([body.changes.length, body.cursor], [2, null], "no page splits a mutation");
  const bad = [{}, { items: 1 }, { items: [1], since: -1 }, { items: [1], since: 1.5 }, { items: [1], since: "1" }, { items: [], since: 2 ** 53 }, []];
  for (const body of bad) assertProblem(await call("POST", `/${id}/pools/p/items`, body), 400, "invalid-request");
  for (const body of [{ items: [], primary: "" }, { items: [], primary: "p".repeat(65) }, { items: [], retain: "ever" }]) {
    assertProblem(await call("POST", `/${id}/pools/p/items`, body), 400, "invalid-options");
  }
});

test("a cursor leads on in one epoch only, and asks for nothing else", async () => {
  const id = await fresh();
  for (const key of ["a", "b", "c"]) await call("POST", `/${id}/mutations`, { ops: [set("c", key)] });
  const page = async (query) => (await call("GET", `/${id}/changes?${query}`)).body;
  const { cursor, epoch } = await page("limit=1");
  const next = await page(`limit=1&cursor=${cursor}&since=0`);
  assert.deepEqual([next.from, next.to, next.reset, next.epoch], [1, 2, false, epoch], "the cursor counts, not since");
  assert.equal((await page(`cursor=${cursor}&epoch=${epoch}`)).reset, false);
  const other = await page(`cursor=${cursor}&epoch=0123456789abcdef&limit=9`);
  assert.deepEqual([other.reset, other.from, other.changes.length], [true, 0, 3]);
  const beyond = await page(`since=9&limit=2`);
  assert.deepEqual([beyond.reset, beyond.changes.length], [true, 2]);
  const second = await page(`cursor=${cursor}`);
  assert.deepEqual([second.changes.length, second.cursor === null], [1, false], "pages go on as they began");
  const rest = await page(`cursor=${beyond.cursor}`);
  assert.deepEqual([rest.changes.map(({ key }) => key), rest.cursor], [["c"], null], "also after a reset");
});

test("an Idempotency-Key is one of 1 to 255 visible characters, also for pools", async () => {
  const id = await fresh();
  for (const [path, body] of [["/mutations", { ops: [set("c", "k")] }], ["/pools/p/items", { items: [1] }]]) {
    for (const key of ["a b", "x".repeat(256)]) {
      assertProblem(await call("POST", `/${id}${path}`, body, { "Idempotency-Key": key }), 400, "invalid-header");
    }
    const key = { "Idempotency-Key": `!~${path.length}`.padEnd(255, "x") };
    const first = await call("POST", `/${id}${path}`, body, key);
    assert.equal(first.status, 200);
    assert.equal((await call("POST", `/${id}${path}`, body, key)).text, first.text);
    assertProblem(await call("POST", `/${id}${path}`, { ...body, more: 1 }, key), 422, "idempotency-mismatch");
  }
});

test("a page of another origin can read every answer, refusals too", async () => {
  const id = await fresh();
  const headers = { Origin: "https://app.example" };
  const asked = [
    ["GET", `/${id}`], ["GET", "/never"], ["GET", "/a.b"], ["PUT", `/${id}`], ["POST", `/${id}/mutations`, "{"],
    ["POST", `/${id}/mutations`, " ".repeat(1024 * 1024 + 1)], ["GET", `/${id}/collections/c/records/none`],
    ["GET", `/${id}/export`],
  ];
  for (const [method, path, body] of asked) {
    const answer = await call(method, path, body, headers);
    assert.equal(answer.headers.get("access-control-allow-origin"), "*", path);
    assert.match(answer.headers.get("access-control-expose-headers"), /ETag.*Retry-After/);
  }
  const unknown = await r.call("OPTIONS", "/v1/nothing", undefined, headers);
  assert.equal(unknown.status, 204);
});
