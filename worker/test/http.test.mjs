// The HTTP interface, row by row: what it answers, and what it answers to what it must not take.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { assertProblem, relay, set, sleep, until } from "./house.mjs";

let r;
let call;
// One relay for all rows; each row has a datastore of its own.
before(async (t) => {
  r = await relay(t);
  call = async (method, path, ...rest) => r.call(method, `/v1${path}`, ...rest);
});

let count = 0;
async function fresh(options = {}) {
  const id = `d${(count += 1)}`;
  const answer = await call("POST", "/datastores", { id, ttl: 600, ...options });
  assert.equal(answer.status, 201, answer.text);
  return id;
}

const mutate = (id, ops, headers) => call("POST", `/datastores/${id}/mutations`, { ops }, headers);
const describe = async (id) => (await call("GET", `/datastores/${id}`)).body;

test("health is open and says the version", async () => {
  const { status, body } = await call("GET", "/health");
  assert.equal(status, 200);
  assert.equal(body.ok, true);
  assert.match(body.version, /^\d+\.\d+\.\d+/);
});

test("what is not there is 404, what is there takes its methods only", async () => {
  for (const path of ["", "/", "/nothing", "/datastores/a/nothing", "/health/x", "/datastores/a/collections/c"]) {
    assertProblem(await call("GET", path), 404, "not-found");
  }
  assert.equal((await r.call("GET", "/v1x")).status, 404);
  const allowed = {
    "/health": "GET, HEAD, OPTIONS",
    "/datastores": "POST, OPTIONS",
    "/datastores/a": "GET, HEAD, PATCH, DELETE, OPTIONS",
    "/datastores/a/changes": "GET, HEAD, OPTIONS",
    "/datastores/a/mutations": "POST, OPTIONS",
    "/datastores/a/socket": "GET, HEAD, OPTIONS",
    "/datastores/a/stats": "GET, HEAD, OPTIONS",
    "/datastores/a/export": "GET, HEAD, OPTIONS",
    "/datastores/a/import": "POST, OPTIONS",
    "/openapi.json": "GET, HEAD, OPTIONS",
    "/datastores/a/collections/c/records": "GET, HEAD, OPTIONS",
    "/datastores/a/collections/c/records/k": "GET, HEAD, PUT, PATCH, DELETE, OPTIONS",
  };
  for (const [path, allow] of Object.entries(allowed)) {
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"].filter((method) => !allow.includes(method))) {
      const answer = await call(method, path);
      assertProblem(answer, 405, "method-not-allowed");
      assert.equal(answer.headers.get("allow"), allow);
    }
  }
});

test("bad names are 400 before anything else is looked at", async () => {
  const long = "x".repeat(65);
  for (const name of ["a%20b", "a.b", long, "%C3%A9"]) {
    assertProblem(await call("GET", `/datastores/${name}`), 400, "invalid-name");
    assertProblem(await call("GET", `/datastores/a/collections/${name}/records`), 400, "invalid-name");
  }
  assertProblem(await call("POST", "/datastores", { id: "a b" }), 400, "invalid-name");
  assertProblem(await call("GET", `/datastores/a/collections/c/records/${"k".repeat(513)}`), 400, "invalid-key");
  assertProblem(await call("GET", "/datastores/a/collections/c/records/%ED%A0%80"), 400, "invalid-key");
});

test("a datastore that was never opened is 404, for a write too, and leaves nothing behind", async () => {
  const before = r.databases().length;
  const gone = [
    ["GET", "/datastores/never"],
    ["PATCH", "/datastores/never", { ttl: 5 }],
    ["DELETE", "/datastores/never"],
    ["GET", "/datastores/never/changes"],
    ["GET", "/datastores/never/collections/c/records"],
    ["GET", "/datastores/never/collections/c/records/k"],
    ["PUT", "/datastores/never/collections/c/records/k", {}],
    ["PATCH", "/datastores/never/collections/c/records/k", {}],
    ["DELETE", "/datastores/never/collections/c/records/k"],
    ["POST", "/datastores/never/mutations", { ops: [] }],
  ];
  for (const request of gone) assertProblem(await call(...request), 404, "not-found");
  assert.equal(r.databases().length, before);
});

test("opening makes a datastore, and opening it again finds it", async () => {
  const at = Date.now();
  const made = await call("POST", "/datastores", { id: "open-1", ttl: 100, primary: "key" });
  assert.equal(made.status, 201);
  const { epoch, expiresAt, ...rest } = made.body;
  assert.deepEqual(rest, { id: "open-1", kind: "temp", primary: "key", seq: 0, created: true });
  assert.match(epoch, /^[0-9a-f]{16}$/);
  assert.match(expiresAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  const life = Date.parse(expiresAt) - at;
  assert(life >= 100_000 && life < 102_000, `${life} ms`);

  for (const options of [{ ttl: 100, primary: "key" }, {}, { ttl: 5 }]) {
    const found = await call("POST", "/datastores", { id: "open-1", ...options });
    assert.equal(found.status, 200);
    assert.deepEqual(found.body, { ...made.body, created: false }, "and no ttl moves the expiry");
  }
  for (const options of [{ kind: "permanent" }, { primary: "id" }]) {
    assertProblem(await call("POST", "/datastores", { id: "open-1", ...options }), 409, "options-mismatch");
  }
  const permanent = await call("POST", "/datastores", { kind: "permanent" });
  assert.equal(permanent.status, 201);
  assert.match(permanent.body.id, /^[0-9a-f]{32}$/, "an id is minted");
  assert.equal(permanent.body.expiresAt, null);
  assert.equal((await call("POST", "/datastores")).status, 201, "no body asks for nothing in particular");
});

test("options that cannot be are 400", async () => {
  const bad = [
    { kind: "eternal" }, { ttl: 0 }, { ttl: -1 }, { ttl: 1.5 }, { ttl: 2_592_001 }, { ttl: 1e300 }, { primary: "" },
    { primary: "p".repeat(65) },
  ];
  for (const options of bad) assertProblem(await call("POST", "/datastores", { id: "bad", ...options }), 400, "invalid-options");
  for (const body of ['{"ttl":"9"}', '{"id":7}', '{"ttl":null}', '{"id":null}', "[]", '["bad","temp","id",9,true]', "3"]) {
    assertProblem(await call("POST", "/datastores", body), 400, "invalid-request");
  }
  for (const body of ["{", "{'a':1}", "nope", '{"id":"x"}}', new Uint8Array([0x22, 0xff, 0x22])]) {
    assertProblem(await call("POST", "/datastores", body), 400, "invalid-json");
  }
  assertProblem(await call("GET", "/datastores/bad"), 404, "not-found");
});

test("a datastore can be changed and removed", async () => {
  const id = await fresh();
  const sooner = await call("PATCH", `/datastores/${id}`, { ttl: 50 });
  assert.equal(sooner.status, 200);
  assert(Math.abs(Date.parse(sooner.body.expiresAt) - Date.now() - 50_000) < 2_000);
  const forever = await call("PATCH", `/datastores/${id}`, { kind: "permanent" });
  assert.deepEqual([forever.body.kind, forever.body.expiresAt], ["permanent", null]);
  assertProblem(await call("PATCH", `/datastores/${id}`, { kind: "temp" }), 409, "options-mismatch");
  for (const body of [{}, { ttl: 0 }, { kind: "x" }]) {
    assertProblem(await call("PATCH", `/datastores/${id}`, body), 400, "invalid-options");
  }
  const { epoch } = await describe(id);
  const gone = await call("DELETE", `/datastores/${id}`);
  assert.deepEqual([gone.status, gone.text], [204, ""]);
  assertProblem(await call("GET", `/datastores/${id}`), 404, "not-found");
  assertProblem(await call("DELETE", `/datastores/${id}`), 404, "not-found");
  const again = await call("POST", "/datastores", { id });
  assert.deepEqual([again.status, again.body.seq], [201, 0]);
  assert.notEqual(again.body.epoch, epoch, "another life, another epoch");
});

test("a record is written, patched, read and deleted", async () => {
  const id = await fresh();
  const path = `/datastores/${id}/collections/c/records/${encodeURIComponent("a/b é😀?")}`;
  const key = "a/b é😀?";
  const put = await call("PUT", path, { title: "x", n: null });
  assert.deepEqual([put.status, put.body, put.headers.get("etag")], [200, { seq: 1 }, '"1"']);
  assert.deepEqual((await call("PATCH", path, { n: 1, title: null })).body, { seq: 2 });
  const got = await call("GET", path);
  assert.deepEqual(got.body, { key, data: { id: key, n: 1 }, seq: 2 });
  assert.equal(got.headers.get("etag"), '"2"');
  for (const tags of ['"2"', '"a,b", "2"', 'W/"2"', "*"]) {
    assert.equal((await call("GET", path, undefined, { "If-None-Match": tags })).status, 304, tags);
  }
  assert.deepEqual((await call("PATCH", path, { n: 1 })).body, { seq: 2 }, "a patch that changes nothing takes no seq");
  assert.deepEqual((await call("DELETE", path)).body, { seq: 3 });
  assertProblem(await call("GET", path), 404, "not-found");
  assertProblem(await call("DELETE", path), 404, "not-found");
  assertProblem(await call("PATCH", path, {}), 404, "not-found");
  assert.equal((await describe(id)).seq, 3, "what was refused took no seq");
});

test("the primary field may be left out of a put; if there, it is the key", async () => {
  const id = await fresh({ primary: "name" });
  const at = (key) => `/datastores/${id}/collections/c/records/${key}`;
  assert.equal((await call("PUT", at("k"), {})).status, 200);
  assert.deepEqual((await call("GET", at("k"))).body.data, { name: "k" });
  assert.equal((await call("PUT", at("k"), { v: 1, name: "k" })).status, 200);
  for (const name of ["other", 7, null]) {
    assertProblem(await call("PUT", at("k"), { name }), 400, "key-mismatch");
    assertProblem(await call("PATCH", at("k"), { name }), 400, "key-mismatch");
  }
  assert.deepEqual((await call("GET", at("k"))).body, { key: "k", data: { v: 1, name: "k" }, seq: 2 });
});

test("conditions of one record", async () => {
  const id = await fresh();
  const path = `/datastores/${id}/collections/c/records/k`;
  const put = (headers) => call("PUT", path, {}, headers);
  assertProblem(await put({ "If-Match": '"1"' }), 412, "precondition-failed");
  assertProblem(await put({ "If-Match": "*" }), 412, "precondition-failed");
  assert.equal((await put({ "If-None-Match": "*" })).body.seq, 1);
  assertProblem(await put({ "If-None-Match": "*" }), 412, "precondition-failed");
  assert.equal((await put({ "If-Match": '"1"' })).body.seq, 2);
  assertProblem(await put({ "If-Match": '"1"' }), 412, "precondition-failed");
  assertProblem(await put({ "If-Match": 'W/"2"' }), 412, "precondition-failed");
  assertProblem(await put({ "If-Match": '"abc"' }), 412, "precondition-failed");
  assert.equal((await put({ "If-Match": '"7", "2"' })).body.seq, 3);
  assert.equal((await put({ "If-Match": "*" })).body.seq, 4);
  assertProblem(await call("DELETE", path, undefined, { "If-Match": '"3"' }), 412, "precondition-failed");
  assertProblem(await call("PATCH", path, {}, { "If-Match": '"3"' }), 412, "precondition-failed");
  assert.equal((await call("DELETE", path, undefined, { "If-Match": '"4"' })).body.seq, 5);
  // Both at once never hold (RFC 9110, section 13.2.2).
  assertProblem(await put({ "If-Match": "*", "If-None-Match": "*" }), 412, "precondition-failed");
  for (const headers of [{ "If-Match": "4" }, { "If-None-Match": '"4"' }]) {
    assertProblem(await put(headers), 400, "invalid-header");
  }
});

test("data is stored as the text that came, minified, and what cannot be stored is refused", async () => {
  const id = await fresh();
  const path = `/datastores/${id}/collections/c/records/k`;
  const odd = '{ "id":"k", "big": 12345678901234567890.10, "e": 1E+2, "u": "\\u00e9\\/\\ud83d\\ude00", "z": "a b" }';
  assert.equal((await call("PUT", path, odd)).status, 200);
  assert((await call("GET", path)).text.includes(odd.replaceAll(/(?<!a) (?!b)/g, "")));
  const deep = `{"a":${"[".repeat(32)}${"]".repeat(32)}}`;
  for (const bad of ['{"a":1,"a":2}', '{"a":1,"\\u0061":2}', '{"a":1e999}', '{"a":"\\ud800"}', '{"a":{"b":1,"b":1}}', "[]", "7", "null", '"x"', deep]) {
    assertProblem(await call("PUT", path, bad), 400, "invalid-data");
    assertProblem(await call("PATCH", path, bad), 400, "invalid-data");
    const ops = `{"ops":[{"op":"set","collection":"c","data":${bad}}]}`;
    assertProblem(await call("POST", `/datastores/${id}/mutations`, ops), 400, "invalid-data");
  }
  for (const bad of ["", "{", '{"a":01}', '{"a":NaN}', '{"a":"\n"}', "{}{}"]) {
    assertProblem(await call("PUT", path, bad), 400, "invalid-json");
  }
  assert.equal((await describe(id)).seq, 1);
  const proto = '{"id":"k","__proto__":{"a":1},"constructor":1}';
  assert.equal((await call("PUT", path, proto)).status, 200);
  assert((await call("GET", path)).text.includes(proto));
});

test("sizes are bounded", async () => {
  const id = await fresh();
  const path = `/datastores/${id}/collections/c/records/k`;
  const fits = "x".repeat(256 * 1024 - '{"id":"k","x":""}'.length);
  assert.equal((await call("PUT", path, { x: fits })).status, 200);
  assertProblem(await call("PUT", path, { x: `${fits}x` }), 413, "too-large");
  assertProblem(await call("PATCH", path, { y: "x" }), 413, "too-large");
  assertProblem(await call("PUT", path, "x".repeat(1024 * 1024 + 1)), 413, "too-large");
  assert.equal((await call("PUT", path, `${" ".repeat(1024 * 1024 - 2)}{}`)).status, 200, "a body of 1 MiB is taken");
  const many = (n, data) => Array.from({ length: n }, (_, i) => set("c", `k${i}`, data));
  const large = await mutate(id, many(4, { x: "x".repeat(240 * 1024) }));
  assert.deepEqual([large.status, large.body.status, large.body.code], [409, "refused", "too-large"]);
  const again = await mutate(id, Array.from({ length: 4 }, () => set("c", "k", { x: "x".repeat(240 * 1024) })));
  assert.deepEqual([again.status, again.body.code], [409, "too-large"], "as it was sent, whatever is left of it");
  const ops = await mutate(id, Array.from({ length: 10_001 }, () => ({ op: "delete", collection: "c", key: "k" })));
  assert.deepEqual([ops.status, ops.body.code], [409, "too-large"]);
  assert.equal((await describe(id)).seq, 2);
});

test("a mutation is all or nothing and takes one seq", async () => {
  const id = await fresh();
  const done = await mutate(id, [set("a", "1"), set("b", "1", { v: 1 }), { op: "patch", collection: "b", key: "1", data: { w: 2 } }]);
  assert.deepEqual([done.status, done.body], [200, { status: "accepted", seq: 1 }]);
  const none = await mutate(id, [{ op: "delete", collection: "a", key: "nobody" }]);
  assert.deepEqual(none.body, { status: "accepted", seq: null });
  assert.deepEqual((await mutate(id, [])).body, { status: "accepted", seq: null });

  const refused = [
    [[set("a", "2"), { op: "patch", collection: "a", key: "nobody", data: {} }], "not-found"],
    [[set("a", "2"), { ...set("a", "1"), if: { absent: true } }], "precondition-failed"],
    [[{ ...set("a", "1"), if: { seq: 7 } }], "precondition-failed"],
    [[{ op: "delete", collection: "a", key: "2", if: { present: true } }], "precondition-failed"],
  ];
  for (const [ops, code] of refused) {
    const { status, body } = await mutate(id, ops);
    assert.deepEqual([status, body.status, body.code], [409, "refused", code]);
    assert.equal(typeof body.message, "string");
  }
  assertProblem(await call("GET", `/datastores/${id}/collections/a/records/2`), 404, "not-found");
  const chained = await mutate(id, [{ ...set("a", "1", { v: 2 }), if: { seq: 1 } }, { op: "delete", collection: "b", key: "1", if: { present: true } }]);
  assert.deepEqual(chained.body, { status: "accepted", seq: 2 });
});

test("what is no mutation is 400 and changes nothing", async () => {
  const id = await fresh();
  const bad = [
    ["invalid-request", { op: "upsert", collection: "c", data: { id: "k" } }],
    ["invalid-request", { collection: "c", data: { id: "k" } }],
    ["invalid-request", { op: "set", data: { id: "k" } }],
    ["invalid-request", { op: "set", collection: "c" }],
    ["invalid-request", { op: "patch", collection: "c", data: {} }],
    ["invalid-request", { op: "delete", collection: "c" }],
    ["invalid-request", { ...set("c", "k"), if: { seq: 1, absent: true } }],
    ["invalid-request", { ...set("c", "k"), if: {} }],
    ["invalid-request", { ...set("c", "k"), if: { seq: -1 } }],
    ["invalid-request", { ...set("c", "k"), if: { absent: false } }],
    ["invalid-request", { ...set("c", "k"), if: null }],
    ["invalid-request", { ...set("c", "k"), if: { seq: 1.5 } }],
    ["invalid-request", { ...set("c", "k"), if: [1, null, null] }],
    ["invalid-request", ["delete", "c", "k", null, null]],
    ["invalid-name", set("a b", "k")],
    ["invalid-name", set("", "k")],
    ["invalid-key", { op: "set", collection: "c", data: {} }],
    ["invalid-key", { op: "set", collection: "c", data: { id: 7 } }],
    ["invalid-key", set("c", "")],
    ["invalid-key", set("c", "k".repeat(513))],
    ["invalid-key", { op: "delete", collection: "c", key: "" }],
    ["key-mismatch", { op: "patch", collection: "c", key: "k", data: { id: "other" } }],
    ["invalid-data", { op: "set", collection: "c", data: [] }],
  ];
  for (const [code, op] of bad) assertProblem(await mutate(id, [set("c", "fine"), op]), 400, code);
  for (const body of ["{}", '{"ops":{}}', '{"ops":[7]}', "[]"]) {
    assertProblem(await call("POST", `/datastores/${id}/mutations`, body), 400, "invalid-request");
  }
  assertProblem(await call("POST", `/datastores/${id}/mutations`, '{"ops":['), 400, "invalid-json");
  assert.deepEqual([(await describe(id)).seq, (await describe(id)).records], [0, 0]);
});

test("an idempotency key is answered as the first time", async () => {
  const id = await fresh();
  const once = (ops, key = "abc") => mutate(id, ops, { "Idempotency-Key": key });
  const first = await once([set("c", "k")]);
  assert.deepEqual(first.body, { status: "accepted", seq: 1 });
  const again = await once([set("c", "k")]);
  assert.deepEqual([again.status, again.body], [200, first.body]);
  assertProblem(await once([set("c", "other")]), 422, "idempotency-mismatch");
  assert.equal((await once([set("c", "k")], "another")).body.seq, 2);
  const refused = await once([{ ...set("c", "k"), if: { absent: true } }], "no");
  assert.equal(refused.status, 409);
  await call("DELETE", `/datastores/${id}/collections/c/records/k`);
  assert.deepEqual((await once([{ ...set("c", "k"), if: { absent: true } }], "no")).body, refused.body);
  assertProblem(await once([{ op: "x" }], "bad"), 400, "invalid-request");
  assert.equal((await once([set("c", "k")], "bad")).status, 200, "what was malformed was not kept");
  for (const key of ["", "a b", "é", "x".repeat(256)]) {
    const answer = await once([set("c", "k")], key).catch(() => null);
    if (answer) assertProblem(answer, 400, "invalid-header");
  }
  const all = await Promise.all(Array.from({ length: 20 }, () => once([set("c", "race")], "race")));
  assert.equal(new Set(all.map(({ text }) => text)).size, 1, "also at the same time");
});

test("records are listed by seq in pages that split none", async () => {
  const id = await fresh();
  for (let i = 0; i < 5; i += 1) await mutate(id, [set("c", `${i}`)]);
  await mutate(id, [set("c", "x"), set("c", "y"), set("d", "z")]);
  await call("DELETE", `/datastores/${id}/collections/c/records/1`);
  const list = async (query) => (await call("GET", `/datastores/${id}/collections/c/records${query}`)).body;
  const all = await list("");
  assert.deepEqual(all.records.map(({ key, seq }) => `${seq}${key}`), ["10", "32", "43", "54", "6x", "6y"]);
  assert.deepEqual([all.seq, all.next, all.records[0].data], [7, null, { id: "0" }]);
  const keys = [];
  let after = 0;
  do {
    const page = await list(`?after=${after}&limit=1`);
    keys.push(page.records.map(({ key }) => key).join("+"));
    after = page.next;
  } while (after !== null);
  assert.deepEqual(keys, ["0", "2", "3", "4", "x+y"]);
  assert.deepEqual(await list("?after=99"), { records: [], seq: 7, next: null });
  assert.deepEqual((await call("GET", `/datastores/${id}/collections/empty/records`)).body.records, []);
  for (const query of ["?limit=0", "?limit=10001", "?limit=x", "?limit=", "?limit=-1", "?limit=1e2", "?after=x", "?after=-1", "?after=9007199254740992"]) {
    assertProblem(await call("GET", `/datastores/${id}/collections/c/records${query}`), 400, "invalid-query");
  }
});

test("changes lead from any seq of the history to the head", async () => {
  const id = await fresh();
  for (const key of ["a", "b", "c", "d"]) await mutate(id, [set("c", key)]);
  await call("DELETE", `/datastores/${id}/collections/c/records/b`);
  await mutate(id, [set("c", "e"), set("e", "e")]);
  const get = async (query) => (await call("GET", `/datastores/${id}/changes${query}`)).body;
  const short = ({ changes }) => changes.map(({ seq, collection, key, deleted }) => `${seq}${collection}${key}${deleted ? "-" : ""}`);

  const all = await get("");
  assert.deepEqual(short(all), ["1ca", "3cc", "4cd", "6ce", "6ee"], "since=0 is what lives");
  const { epoch } = await describe(id);
  assert.deepEqual([all.from, all.to, all.head, all.reset, all.cursor, all.epoch], [0, 6, 6, false, null, epoch]);
  assert.deepEqual(all.changes[0], { collection: "c", key: "a", seq: 1, data: { id: "a" } });
  const since = await get("?since=2");
  assert.deepEqual(short(since), ["3cc", "4cd", "5cb-", "6ce", "6ee"]);
  assert.deepEqual(since.changes[2], { collection: "c", key: "b", seq: 5, deleted: true });
  assert.deepEqual([short(await get("?since=6")), (await get("?since=6")).to], [[], 6]);
  assert.deepEqual(short(await get(`?since=4&epoch=${epoch}`)), ["5cb-", "6ce", "6ee"]);

  for (const query of ["?since=7", "?since=3&epoch=0123456789abcdef", "?epoch=none"]) {
    const reset = await get(query);
    assert.deepEqual([reset.reset, reset.from, short(reset)], [true, 0, short(all)], query);
  }
  for (const query of ["?since=x", "?since=-1", "?limit=0", "?cursor=x", "?cursor=", `?cursor=${"A".repeat(48)}`]) {
    assertProblem(await call("GET", `/datastores/${id}/changes${query}`), 400, "invalid-query");
  }
});

test("the pages of changes are one consistent whole", async () => {
  const id = await fresh();
  for (const key of ["a", "b", "c", "d", "e"]) await mutate(id, [set("c", key)]);
  const path = `/datastores/${id}/changes`;
  for (const start of ["?limit=2", "?since=9&limit=2", "?since=1&limit=2"]) {
    let page = (await call("GET", path + start)).body;
    assert.equal(page.reset, start.includes("since=9"));
    const seen = new Map();
    const take = (page) => page.changes.forEach(({ key, deleted }) => (deleted ? seen.delete(key) : seen.set(key, true)));
    take(page);
    // What was on the first page goes, what was to come moves behind.
    await call("DELETE", `/datastores/${id}/collections/c/records/${page.changes[0].key}`);
    await mutate(id, [set("c", "e", { moved: start })]);
    while (page.cursor !== null) {
      page = (await call("GET", `${path}?limit=1&cursor=${page.cursor}`)).body;
      assert.equal(page.reset, false);
      assert(page.changes.length > 0 || page.cursor === null);
      take(page);
    }
    const now = (await call("GET", `/datastores/${id}/collections/c/records`)).body.records.map(({ key }) => key);
    if (start.includes("since=1")) assert(now.every((key) => seen.has(key) || ["a", "b"].includes(key)));
    else assert.deepEqual([...seen.keys()].sort(), now.sort());
    assert.equal(page.to, page.head);
    await mutate(id, [set("c", "z" + start.length)]);
  }
  const { cursor } = (await call("GET", `${path}?limit=1`)).body;
  await call("DELETE", `/datastores/${id}`);
  await call("POST", "/datastores", { id });
  assert.equal((await call("GET", `${path}?cursor=${cursor}`)).body.reset, true, "another life, another order");
});

test("the digest and the counts follow every change", async () => {
  const id = await fresh();
  assert.equal((await describe(id)).digest, "0".repeat(32));
  await mutate(id, [set("c", "a"), set("c", "b")]);
  const two = await describe(id);
  assert.deepEqual([two.records, two.seq, two.horizon], [2, 1, 0]);
  await mutate(id, [{ op: "delete", collection: "c", key: "a" }, { op: "delete", collection: "c", key: "b" }]);
  const none = await describe(id);
  assert.deepEqual([none.records, none.digest], [0, "0".repeat(32)]);
});

test("one datastore cannot be seen through another", async () => {
  const [one, other] = [await fresh(), await fresh()];
  await mutate(one, [set("c", "secret")]);
  assert.deepEqual((await call("GET", `/datastores/${other}/changes`)).body.changes, []);
  assertProblem(await call("GET", `/datastores/${other}/collections/c/records/secret`), 404, "not-found");
});

test("headers of the relay's own cannot be sent by a client", async () => {
  const id = await fresh();
  const forged = await call("PUT", `/datastores/${id}/collections/c/records/k`, {}, { "neap-admission": "--- 0 0" });
  assert.equal(forged.status, 200);
});

test("many writes at once are all answered and all there", async () => {
  const id = await fresh();
  const answers = await Promise.all(Array.from({ length: 300 }, (_, i) => mutate(id, [set("c", `k${i}`)])));
  const seqs = answers.map(({ body }) => body.seq).sort((a, b) => a - b);
  assert.deepEqual(seqs, Array.from({ length: 300 }, (_, i) => i + 1));
  assert.equal((await describe(id)).records, 300);
});

test("CORS: every origin by default, with what a page needs to read", async () => {
  const headers = { Origin: "https://app.example" };
  const asked = await call("OPTIONS", "/datastores/a/collections/c/records/k", undefined, headers);
  assert.equal(asked.status, 204);
  assert.equal(asked.headers.get("access-control-allow-origin"), "*");
  for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"]) {
    assert(asked.headers.get("access-control-allow-methods").includes(method));
  }
  for (const name of ["authorization", "content-type", "if-match", "if-none-match", "idempotency-key"]) {
    assert(asked.headers.get("access-control-allow-headers").toLowerCase().includes(name));
  }
  const got = await call("GET", "/health", undefined, headers);
  assert.equal(got.headers.get("access-control-allow-origin"), "*");
  assert.match(got.headers.get("access-control-expose-headers"), /ETag.*Retry-After/);
  assert.equal((await call("GET", "/nothing", undefined, headers)).headers.get("access-control-allow-origin"), "*");
});

test("CORS: only the origins that were named", async (t) => {
  const own = await relay(t, { vars: { NEAP_ORIGINS: "https://one.example, https://two.example" } });
  const from = (origin, method = "GET") => own.call(method, "/v1/health", undefined, origin ? { Origin: origin } : {});
  const one = await from("https://two.example");
  assert.deepEqual([one.status, one.headers.get("access-control-allow-origin")], [200, "https://two.example"]);
  assert.match(one.headers.get("vary"), /Origin/);
  assert.equal((await from("https://one.example", "OPTIONS")).status, 204);
  assert.equal((await from(null)).status, 200, "what is no browser passes");
  for (const method of ["GET", "OPTIONS"]) {
    const other = await from("https://other.example", method);
    assertProblem(other, 403, "forbidden");
    assert.equal(other.headers.get("access-control-allow-origin"), null);
  }
});

test("limits that the operator set", async (t) => {
  const vars = { NEAP_MAX_RECORDS: "3", NEAP_MAX_BYTES: "200", NEAP_MAX_TTL: "10", NEAP_HISTORY: "2" };
  const own = await relay(t, { vars });
  const at = "/v1/datastores";
  assertProblem(await own.call("POST", at, { id: "a", ttl: 11 }), 400, "invalid-options");
  assert.equal((await own.call("POST", at, { id: "a", ttl: 10 })).status, 201);
  const put = (key, data = {}) => own.call("PUT", `${at}/a/collections/c/records/${key}`, data);
  for (const key of ["1", "2", "3"]) assert.equal((await put(key)).status, 200);
  assertProblem(await put("4"), 507, "storage-full");
  assertProblem(await put("1", { x: "x".repeat(200) }), 507, "storage-full");
  assert.equal((await put("1", { v: 1 })).status, 200, "what is there can change");
  for (const key of ["1", "2", "3"]) await own.call("DELETE", `${at}/a/collections/c/records/${key}`);
  const { seq, records } = (await own.call("GET", `${at}/a`)).body;
  assert.deepEqual([seq, records], [7, 0]);
  // An alarm does it, out of the way of the writes.
  const horizon = async () => (await own.call("GET", `${at}/a`)).body.horizon;
  await until("the oldest tombstone to go", async () => (await horizon()) > 0);
  assert.equal(await horizon(), 5, "two tombstones are kept");
  assert.equal((await own.call("GET", `${at}/a/changes?since=4`)).body.reset, true);
  assert.equal((await own.call("GET", `${at}/a/changes?since=5`)).body.reset, false);
});

test("expired is expired to the millisecond", async () => {
  const id = await fresh({ ttl: 1 });
  const { expiresAt } = await describe(id);
  await mutate(id, [set("c", "k")]);
  const last = Date.parse(expiresAt);
  while (Date.now() < last - 30) await sleep(5);
  for (;;) {
    const asked = Date.now();
    const { status } = await call("GET", `/datastores/${id}/collections/c/records/k`);
    const told = Date.now();
    if (told <= last) assert.equal(status, 200);
    if (asked > last) {
      assert.equal(status, 404);
      break;
    }
  }
  assertProblem(await mutate(id, [set("c", "k")]), 404, "not-found");
  assertProblem(await call("GET", `/datastores/${id}/changes`), 404, "not-found");
  const again = await call("POST", "/datastores", { id });
  assert.deepEqual([again.status, again.body.seq], [201, 0]);
});

test("a sliding life is counted from the newest mutation or opening", async () => {
  const id = await fresh({ ttl: 2, sliding: true });
  const until = async () => Date.parse((await describe(id)).expiresAt);
  const first = await until();
  await sleep(20);
  await mutate(id, [set("c", "k")]);
  const second = await until();
  assert(second > first);
  await sleep(20);
  await call("POST", "/datastores", { id });
  const third = await until();
  assert(third > second);
  await sleep(20);
  await mutate(id, [{ op: "patch", collection: "c", key: "nobody", data: {} }]);
  assert.equal(await until(), third, "what was refused moves nothing");
});
