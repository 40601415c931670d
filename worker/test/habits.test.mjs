// What the field expects of any HTTP interface, and the words of this one where nobody else asks for them.

import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { before, test } from "node:test";
import { assertProblem, Raw, relay, set, token } from "./house.mjs";

let r;
let call;
before(async (t) => {
  r = await relay(t);
  call = (method, path, ...rest) => r.call(method, `/v1/datastores${path}`, ...rest);
});

let count = 0;
async function fresh(options = {}) {
  const id = `h${(count += 1)}`;
  assert.equal((await call("POST", "", { id, ttl: 600, ...options })).status, 201);
  return id;
}

/** What fetch does not send: other methods, bodies of no length that is known before, empty headers. */
async function bare(method, path, chunks = [], headers = {}) {
  const { hostname, port } = new URL(r.url());
  const sending = request({ hostname, port, path: `/v1${path}`, method, headers });
  for (const chunk of chunks) sending.write(chunk);
  sending.end();
  const [answer] = await once(sending, "response");
  let text = "";
  for await (const part of answer.setEncoding("utf8")) text += part;
  return { status: answer.statusCode, headers: answer.headers, text };
}

test("HEAD is answered as GET is, without the body", async () => {
  const id = await fresh();
  await call("PUT", `/${id}/collections/c/records/k`, {});
  const paths = ["/health", "/openapi.json", `/datastores/${id}`, `/datastores/${id}/changes`, `/datastores/${id}/collections/c/records/k`, `/datastores/${id}/stats`, `/datastores/${id}/export`];
  for (const path of paths) {
    const [head, get] = [await bare("HEAD", path), await r.call("GET", `/v1${path}`)];
    assert.deepEqual([head.status, head.text, head.headers["content-type"]], [200, "", get.type], path);
    assert.equal(head.headers.etag ?? null, get.headers.get("etag"));
  }
  assert.equal((await bare("HEAD", "/datastores/never")).status, 404);
  const wrong = await bare("HEAD", `/datastores/${id}/mutations`);
  assert.deepEqual([wrong.status, wrong.headers.allow], [405, "POST, OPTIONS"]);
});

test("methods that nobody knows are wrong ones, and a slash too many leads nowhere", async () => {
  for (const method of ["TRACE", "PROPFIND", "REPORT"]) {
    const answer = await bare(method, "/datastores/a");
    assert.deepEqual([answer.status, answer.headers.allow], [405, "GET, HEAD, PATCH, DELETE, OPTIONS"], method);
    assert.equal(JSON.parse(answer.text).code, "method-not-allowed");
  }
  for (const path of ["/health/", "/datastores/a/", "/datastores/a/changes/", "/datastores//changes/", "//health", "/Health"]) {
    assertProblem(await r.call("GET", `/v1${path}`), 404, "not-found");
  }
  for (const path of ["/datastores/", "/datastores//changes", "/datastores/a/collections//records"]) {
    assertProblem(await r.call("GET", `/v1${path}`), 400, "invalid-name");
  }
  const id = await fresh();
  const encoded = id.replace("h", "%68");
  assert.equal((await call("GET", `/${encoded}/%63hanges`)).status, 404, "names may be encoded, words of the interface not");
  assert.equal((await call("GET", `/${encoded}`)).body.id, id);
});

test("whoever sends too much, or what is not let in, can read why: most clients hear an answer only when they have said all", async () => {
  const id = await fresh();
  const body = new Uint8Array(8 * 1024 * 1024).fill(32);
  const ask = (method, path) => fetch(`${r.url()}/v1/datastores/${id}${path}`, { method, body });
  for (let turn = 0; turn < 5; turn++) {
    for (const [method, path, status] of [["POST", "/mutations", 413], ["PUT", "/collections/c/records/k", 413], ["PUT", "/stats", 405]])
      assert.equal((await ask(method, path)).status, status, `${method} ${path}`);
  }
});

test("a body is JSON, whatever its Content-Type calls it, and however it comes", async () => {
  const id = await fresh();
  const path = `/${id}/collections/c/records/k`;
  for (const type of ["application/json", "application/json; charset=utf-8", "application/merge-patch+json", "text/plain;charset=UTF-8", "x"]) {
    for (const method of ["PUT", "PATCH"]) {
      assert.equal((await call(method, path, '{"é":"😀"}', { "Content-Type": type })).status, 200, `${method} ${type}`);
    }
  }
  assert.equal((await call("GET", path)).body.data.é, "😀");
  const put = `/datastores${path}`;
  assert.equal((await bare("PUT", put, ['{"a"', ":1", "}"])).status, 200, "in chunks");
  const large = await bare("PUT", put, Array.from({ length: 18 }, () => " ".repeat(64 * 1024)));
  assert.deepEqual([large.status, JSON.parse(large.text).code], [413, "too-large"], "in chunks that are too many");
  assert.deepEqual((await call("GET", path)).body.data, { a: 1, id: "k" });
  for (const [method, rest] of [["PUT", "/collections/c/records/k"], ["PATCH", "/collections/c/records/k"], ["POST", "/mutations"], ["PATCH", ""], ["POST", "/pools/p/items"]]) {
    assertProblem(await call(method, `/${id}${rest}`), 400, "invalid-json");
  }
});

test("numbers stay what they are, as far as a double reaches", async () => {
  const id = await fresh();
  const path = `/${id}/collections/c/records/k`;
  const fine = '{"a":123456789012345678901234567890,"b":1.7976931348623157e308,"c":-0,"d":5e-324,"e":1e-400,"id":"k"}';
  assert.equal((await call("PUT", path, fine)).status, 200);
  assert((await call("GET", path)).text.includes(fine));
  for (const bad of ["1e309", "-1.8e308", "1".padEnd(310, "0")]) {
    assertProblem(await call("PUT", path, `{"a":${bad}}`), 400, "invalid-data");
    assertProblem(await call("PATCH", path, `{"a":${bad}}`), 400, "invalid-data");
  }
  for (const since of ["2182090719707141.0", "9007199254740991.0", "9007199254740991", "2.0e15", "0"]) {
    const answer = await call("POST", `/${id}/pools/p/items`, `{"items":[],"since":${since}}`);
    assert.equal(answer.status, 200, `${since} is whole: ${answer.text}`);
  }
  for (const body of ['{"ops":[],"ops":[]}', '{"ops":[{"op":"delete","op":"delete","collection":"c","key":"k"}]}']) {
    assertProblem(await call("POST", `/${id}/mutations`, body), 400, "invalid-request");
  }
});

test("entity tags are a list of texts, which may have empty elements", async () => {
  const id = await fresh();
  const path = `/${id}/collections/c/records/k`;
  assert.equal((await call("PUT", path, {})).body.seq, 1);
  const put = (tags) => call("PUT", path, {}, { "If-Match": tags });
  for (const other of ['"01"', '"1 "', '" 1"', '"+1"', '"1.0"', '"0"', '""', '"2", W/"1"']) assertProblem(await put(other), 412, "precondition-failed");
  for (const bad of ["1", '"1', '1"', '"1" "2"', "W/1", '*, "1"', ",", "'1'"]) assertProblem(await put(bad), 400, "invalid-header");
  const empty = async (name) => (await bare("PUT", `/datastores${path}`, ["{}"], { [name]: "" })).status;
  assert.deepEqual([await empty("If-Match"), await empty("If-None-Match"), await empty("Idempotency-Key")], [200, 200, 400]);
  let { seq } = (await call("GET", path)).body;
  for (const fine of [(tag) => tag, (tag) => `,${tag}, ,`, (tag) => `"x",W/"${seq}",\t${tag}`]) {
    const answer = await put(fine(`"${seq}"`));
    assert.equal(answer.status, 200, answer.text);
    seq = answer.body.seq;
  }
});

test("a page has a thousand rows where nobody says otherwise", async () => {
  const id = await fresh();
  const many = Array.from({ length: 1_001 }, (_, n) => ({ ops: [set("c", `${n}`)] }));
  for (let from = 0; from < many.length; from += 100) {
    const answers = await Promise.all(many.slice(from, from + 100).map((body) => call("POST", `/${id}/mutations`, body)));
    assert(answers.every(({ status }) => status === 200));
  }
  const records = (await call("GET", `/${id}/collections/c/records`)).body;
  assert.deepEqual([records.records.length, records.next], [1_000, 1_000]);
  const changes = (await call("GET", `/${id}/changes`)).body;
  assert.deepEqual([changes.changes.length, changes.to, changes.head, typeof changes.cursor], [1_000, 1_000, 1_001, "string"]);
  const all = (await call("GET", `/${id}/changes?limit=10000`)).body;
  assert.deepEqual([all.changes.length, all.cursor], [1_001, null]);
});

test("an Idempotency-Key is one for all that a subject asks of a datastore, and outlives a restart", async (t) => {
  const own = await relay(t);
  const ask = (id, path, body) => own.call("POST", `/v1/datastores/${id}${path}`, body, { "Idempotency-Key": "once" });
  for (const id of ["a", "b"]) await own.call("POST", "/v1/datastores", { id });
  const first = await ask("a", "/pools/p/items", { items: [1, 2] });
  assert.deepEqual([first.status, first.body.added], [200, 2]);
  await own.restart();
  assert.equal((await ask("a", "/pools/p/items", { items: [1, 2] })).text, first.text);
  assertProblem(await ask("a", "/pools/q/items", { items: [1, 2] }), 422, "idempotency-mismatch");
  assertProblem(await ask("a", "/mutations", { ops: [] }), 422, "idempotency-mismatch");
  assert.equal((await ask("b", "/pools/p/items", { items: [1, 2] })).body.added, 2, "another datastore, another key");
});

test("the longest ttl bounds the usual one too, and nothing that has no end", async (t) => {
  const own = await relay(t, { vars: { NEAP_MAX_TTL: "10" } });
  const open = (body) => own.call("POST", "/v1/datastores", body);
  const life = (answer) => Date.parse(answer.body.expiresAt) - Date.now();
  const made = await open({ id: "a" });
  assert.equal(made.status, 201);
  assert(life(made) <= 10_000, `${life(made)} ms`);
  const raw = await own.socket("b");
  await raw.greet({ hello: { options: {} } });
  assert(life(await own.call("GET", "/v1/datastores/b")) <= 10_000);
  await open({ id: "forever", kind: "permanent" });
  const { text } = await own.call("GET", "/v1/datastores/forever/export");
  const copy = await own.call("POST", "/v1/datastores/copy/import", text);
  assert.deepEqual([copy.status, copy.body.expiresAt], [201, null], copy.text);
});

test("what a token may leave out, and what it may not bend", async (t) => {
  const secret = "a secret of this test alone";
  const own = await relay(t, { vars: { NEAP_SECRET: secret } });
  const exp = Math.floor(Date.now() / 1000) + 600;
  const good = { ds: "*", scope: ["read", "write", "admin"], sub: "ann", exp };
  const bearer = (claims, more, scheme = "Bearer") => ({ Authorization: `${scheme} ${token(secret, claims, more)}` });
  const get = async (headers) => (await own.call("GET", "/v1/datastores/a", undefined, headers)).status;
  assert.equal((await own.call("POST", "/v1/datastores", { id: "a" }, bearer(good))).status, 201);
  for (const fine of [{ ...good, exp: exp + 0.5 }, { ...good, exp: 1e300 }, { ...good, sub: undefined }, { ...good, iat: 1, iss: "x", aud: ["y"], nbf: 0 }, { ...good, ds: "a" }]) {
    assert.equal(await get(bearer(fine)), 200, JSON.stringify(fine));
  }
  assert.equal(await get(bearer(good, { head: { alg: "HS256" } })), 200, "typ may be left out");
  assert.equal(await get(bearer(good, undefined, "bearer")), 200, "a scheme is a word without case");
  assert.equal(await get(bearer({ ...good, scope: undefined })), 403);
  assert.equal(await get(bearer({ ...good, ds: "b" })), 404);
  for (const bad of [{ ...good, exp: -1 }, { ...good, exp: exp - 600.5 }, { ...good, exp: null }, { ...good, ds: ["*"] }, { ...good, ds: null }, ["*", exp, 0, ["read"], "ann"]]) {
    assert.equal(await get(bearer(bad)), 401, JSON.stringify(bad));
  }
  assert.equal(await get(bearer(good, { head: ["HS256", null] })), 401);
  const asked = await own.call("OPTIONS", "/v1/datastores/a", undefined, { Origin: "https://app.example" });
  assert.equal(asked.status, 204, "a preflight brings no token");
  assertProblem(await own.call("GET", "/v1/datastores/a/socket"), 401, "unauthorized");
  // The token stands beside the protocol, on either side of it.
  for (const protocols of [["neap.v1", `neap.token.${token(secret, good)}`], [`neap.token.${token(secret, good)}`, "neap.v1"]]) {
    const raw = await Raw.open(own.url(), "a", { protocols });
    assert.equal(raw.socket.protocol, "neap.v1");
    await raw.greet();
  }
});

test("a page that may not connect is told so on every path, and what may is told on refusals too", async (t) => {
  const own = await relay(t, { vars: { NEAP_ORIGINS: "https://one.example/", NEAP_RATE_MUTATIONS: "1:2" } });
  const from = (origin, method, path, body) => own.call(method, `/v1/datastores${path}`, body, { Origin: origin });
  for (const [method, path, body] of [["GET", "/a"], ["POST", "", { id: "a" }], ["PUT", "/a/collections/c/records/k", {}], ["OPTIONS", "/a"], ["GET", "/a.b"], ["PUT", "/a"]]) {
    const refused = await from("https://two.example", method, path, body);
    assertProblem(refused, 403, "forbidden");
    assert.equal(refused.headers.get("access-control-allow-origin"), null);
  }
  const statuses = [];
  for (const [method, path, body] of [["OPTIONS", "/a"], ["GET", "/a"], ["POST", "", { id: "a" }], ["POST", "", { id: "a" }], ["POST", "", { id: "a" }], ["POST", "", " ".repeat(1024 * 1024 + 1)]]) {
    const answer = await from("https://one.example", method, path, body);
    statuses.push(answer.status);
    assert.equal(answer.headers.get("access-control-allow-origin"), "https://one.example", `${method} ${answer.status}`);
    assert.equal(answer.headers.get("vary"), "Origin");
  }
  assert.deepEqual(statuses, [204, 404, 201, 200, 429, 413]);
});
