// Frames and requests that nobody honest sends, by the thousand, from a seed. None may bring the relay to a 5xx,
// reach another datastore, or disturb a session that does nothing wrong.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { request as ask } from "node:http";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { long, Raw, relay, set, token, until } from "./house.mjs";
import { hello, next, push, read } from "./wire.mjs";

const seed = Number(process.env.NEAP_SEED ?? 20261124);
const frames = long ? 10_000 : 800;
const requests = long ? 10_000 : 800;
const open = { NEAP_RATE_MUTATIONS: "1000000", NEAP_RATE_BYTES: "1000000000" };

/** A small generator (mulberry32): the same seed, the same attack. */
function dice(state) {
  const roll = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
  const below = (n) => Math.floor(roll() * n);
  return { below, pick: (list) => list[below(list.length)] };
}

let r;
let witness;
before(async (t) => {
  r = await relay(t, { vars: open });
  await r.call("POST", "/v1/datastores", { id: "other", ttl: 600 });
  await r.call("PUT", "/v1/datastores/other/collections/c/records/secret", { text: "untouched" });
  witness = await r.socket("target");
  await witness.greet();
});

/** The relay is there, the witness goes on, and the neighbour is as it was. */
async function assertUndisturbed() {
  assert.equal((await r.call("GET", "/v1/health")).status, 200);
  assert.equal(typeof (await witness.outcome(witness.push([set("w", "k", { at: Date.now() })]))).seq, "number");
  const { body } = await r.call("GET", "/v1/datastores/other/changes");
  assert.deepEqual(body.changes.map(({ key, data }) => [key, data.text]), [["secret", "untouched"]]);
}

// What JSON can do to whoever reads it carelessly.
const poison = [
  '{"__proto__":{"polluted":1}}',
  '{"constructor":{"prototype":{"polluted":1}}}',
  '{"a":"\\ud800"}',
  '{"\\udfff":1}',
  `${'{"a":'.repeat(33)}1${"}".repeat(33)}`,
  `${"[".repeat(50_000)}${"]".repeat(50_000)}`,
  '{"a":1e999}',
  '{"a":1,"a":2}',
  '{"a":NaN}',
  '{"a":01}',
  '{"a":"\u0000"}',
  '{"a":18446744073709551616}',
  `{"a":"${"x".repeat(300_000)}"}`,
  "[]",
  "null",
  "",
  "\ufeff{}",
  '{"a":1} trailing',
];

const lengths = [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0xffffffff, 2 ** 53 - 1];

function mutated({ below, pick }, frame) {
  const bytes = [...frame];
  for (let i = 0; i <= below(4); i += 1) {
    const at = below(bytes.length + 1);
    const how = below(7);
    if (how === 0) bytes[at] = below(256);
    else if (how === 1) bytes.splice(at, 1 + below(8));
    else if (how === 2) bytes.splice(at, 0, ...randomish(below, below(12)));
    else if (how === 3) bytes.length = at;
    else if (how === 4) bytes.splice(at, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01);
    else if (how === 5) bytes.splice(at, 0, ...bytes.slice(below(bytes.length + 1), at));
    else bytes[at] = (bytes[at] ?? 0) ^ (1 << below(8));
  }
  return Uint8Array.from(bytes.slice(0, 4_096), (byte) => byte ?? 0);
}

const randomish = (below, n) => Array.from({ length: n }, () => below(256));

function frame(random, raw) {
  const { below, pick } = random;
  const mutation = () => [
    pick([
      set("c", `k${below(5)}`),
      { op: "set", collection: pick(["c", "__proto__", "~p", "", "x".repeat(65), "é"]), key: pick(["k", "", "x".repeat(600), "__proto__"]), data: { id: "k" } },
      { op: "patch", collection: "c", key: `k${below(5)}`, data: JSON.parse('{"__proto__":{"a":1}}') },
      { op: "delete", collection: "c", key: `k${below(5)}`, if: { seq: pick(lengths) } },
      { op: "set", collection: "c", key: "k", data: { id: "k" }, if: { mine: pick(lengths) } },
    ]),
  ];
  const valid = pick([
    () => push({ first: raw.turn + 1, mutations: Array.from({ length: 1 + below(3) }, mutation), acked: below(2) * raw.turn }),
    () => push({ first: pick(lengths), mutations: [mutation()], acked: pick(lengths), author: below(3) }),
    () => next({ after: pick(lengths), floor: pick(lengths) }),
    () => read(pick(lengths)),
    () => hello({ version: below(4), options: { ttl: pick([...lengths.slice(0, 5), undefined]), primary: pick(["id", "", "x".repeat(100), undefined]) }, authors: Array.from({ length: below(70) }, () => ({ id: randomBytes(16) })) }),
    () => Uint8Array.from([3 + below(12), ...randomish(below, below(200))]),
  ])();
  return below(3) === 0 ? valid : mutated(random, valid);
}

test("hostile frames end their own session at most", async (t) => {
  const random = dice(seed);
  const codes = {};
  let raw = null;
  for (let sent = 0; sent < frames; sent += 1) {
    if (!raw || raw.closed || raw.socket.readyState !== 1) {
      raw = await r.socket("target");
      raw.hasRead = () => {};
      // What the relay says must be a frame; what it follows is not checked here.
      raw.take = (frame) => raw.frames.push(frame);
      if (random.below(4) > 0) await raw.greet();
    }
    raw.send(frame(random, raw));
    if (random.below(3) > 0) await settledDown(raw);
    if (raw.closed) codes[raw.closed.code] = (codes[raw.closed.code] ?? 0) + 1;
    if (sent % 300 === 299) await assertUndisturbed();
  }
  t.diagnostic(`seed ${seed}: ${frames} frames; closed ${JSON.stringify(codes)}`);
  assert(Object.keys(codes).every((code) => code >= 4400 && code < 4500), JSON.stringify(codes));
  assert(codes[4400] > frames / 20, "most were noticed");
  await assertUndisturbed();
});

// A ping is answered in its turn, after all frames before it, or the socket is closed.
async function settledDown(raw) {
  const seen = raw.texts.length;
  raw.socket.send("ping");
  await until("an answer or the close", () => raw.closed || raw.texts.length > seen);
}

const evil = ["%00", "..", "%2e%2e", "a%2fb", "é", "%ff", "%ed%a0%80", "x".repeat(65), "__proto__", "'; DROP TABLE records; --", "%", "a b", "*", "-1", "~p"];

function request({ below, pick }) {
  const id = below(4) > 0 ? "target" : pick(["none", ...evil]);
  const name = (fine) => (below(3) > 0 ? fine : pick(evil));
  const at = `/v1/datastores/${id}`;
  const [path, methods] = pick([
    [at, ["GET", "PATCH", "POST"]],
    ["/v1/datastores", ["POST"]],
    [`${at}/collections/${name("c")}/records/${name(pick(["k", "x".repeat(2_000)]))}`, ["GET", "PUT", "PATCH", "DELETE"]],
    [`${at}/collections/${name("c")}/records?after=${pick([...lengths, -1, "x", "1e9"])}&limit=${pick([...lengths, "", "NaN"])}`, ["GET"]],
    [`${at}/mutations`, ["POST"]],
    [`${at}/changes?since=${pick([...lengths, -1])}${pick(["", "", `&cursor=${pick(["", "AAAA", "x".repeat(5_000), "%00"])}`, "&epoch=zz"])}`, ["GET"]],
    [`${at}/pools/${name("p")}/items`, ["GET", "POST"]],
    [`${at}/stats`, ["GET"]],
    [`${at}/export`, ["GET"]],
    ["/v1/datastores/import", ["POST"]],
    [`/v1/${pick(evil)}`, ["GET"]],
  ]);
  const text = pick(poison);
  const ops = pick([
    [{ op: "set", collection: "c", data: { id: "k" } }],
    [{ op: "patch", collection: "c", key: "none", data: { id: "none" } }],
    [{ op: pick(["set", "drop", "__proto__", 7]), collection: pick(["c", ...evil, null, {}]), key: pick(["k", "", 1, null]), data: pick([{}, [], "x", null]), if: pick([undefined, { seq: -1 }, { seq: 2 ** 60 }, { absent: true, present: true }, []]) }],
    Array.from({ length: below(50) }, () => ({ op: "delete", collection: "c", key: "k" })),
    "ops",
  ]);
  const body = pick([text, `{"ops":[{"op":"set","collection":"c","data":${text}}]}`, `{"items":[${text}]}`, JSON.stringify({ ops }), JSON.stringify({ id: "target", ttl: pick(lengths), kind: pick(["temp", "x", 1]) }), Buffer.from([0xff, 0xfe, 0x00]), gzipSync(Buffer.alloc(2_000_000)), ...(below(8) === 0 ? [Buffer.alloc(1_100_000, "x")] : [])]);
  const headers = { "content-type": "application/json" };
  if (below(3) === 0) headers["if-match"] = pick(['"1"', "*", "x", '"99999999999999999999"', '"1", "2"']);
  if (below(4) === 0) headers["idempotency-key"] = pick(["k", "x".repeat(256), "a b"]);
  if (below(5) === 0) headers["neap-pass"] = `rwa ${2 ** 53} 0 0 other`;
  if (below(5) === 0) headers.authorization = pick(["Bearer", "Bearer x.y.z", `Bearer ${"x".repeat(9_000)}`, "Basic eA=="]);
  if (below(6) === 0) headers["content-encoding"] = "gzip";
  const method = pick(below(5) > 0 ? methods : ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]);
  // The witness lives there: it may be written to, not removed.
  if (method === "DELETE" && /\/datastores\/target$/.test(path)) return null;
  return { method, path, headers, body: ["GET", "HEAD", "OPTIONS"].includes(method) ? undefined : body };
}

test("hostile requests are answered with what is wrong with them", async (t) => {
  const random = dice(seed + 1);
  const statuses = {};
  const inFlight = new Set();
  for (let sent = 0; sent < requests; sent += 1) {
    const one = request(random);
    if (!one) continue;
    const answered = fetch(r.url() + one.path, one).then(async (answer) => {
      statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
      const text = await answer.text();
      assert(answer.status < 500, `${one.method} ${one.path}: ${answer.status} ${text}`);
      if (one.path.startsWith("/v1/datastores/other")) return;
      assert(!text.includes("untouched"), `${one.method} ${one.path} reads another datastore`);
    });
    inFlight.add(answered);
    const done = answered.finally(() => inFlight.delete(answered));
    if (inFlight.size >= 8) await done;
    if (sent % 400 === 399) await assertUndisturbed();
  }
  await Promise.all(inFlight);
  t.diagnostic(`seed ${seed + 1}: ${requests} requests; ${JSON.stringify(statuses)}`);
  await assertUndisturbed();
  for (const status of [200, 400, 404, 409]) assert(statuses[status] > 0, `${status} was never met`);
});

test("what a reading request brings as its body is not looked at", async () => {
  const { hostname, port } = new URL(r.url());
  for (const [path, method] of [["/v1/datastores/other", "GET"], ["/v1/datastores/other", "HEAD"], ["/v1/datastores/other/export", "GET"], ["/v1/datastores/none", "GET"]]) {
    const status = await new Promise((done, fail) => {
      const asking = ask({ hostname, port, path, method, headers: { "content-length": 2 } }, (answer) => {
        answer.resume().on("end", () => done(answer.statusCode));
      });
      asking.on("error", fail).end("{}");
    });
    assert.equal(status, path.endsWith("none") ? 404 : 200, `${method} ${path}`);
  }
});

test("a body that breaks off is the sender's fault, and stores nothing", async () => {
  assert.equal((await r.call("POST", "/v1/datastores", { id: "torn" })).status, 201);
  const { hostname, port } = new URL(r.url());
  const tcp = connect(Number(port), hostname);
  const heard = text(tcp);
  tcp.end(`PUT /v1/datastores/torn/collections/c/records/k HTTP/1.1\r\nHost: ${hostname}\r\nContent-Length: 100\r\n\r\n{"id":"`);
  assert.match(await heard, /^HTTP\/1\.1 400 [^]*"code":"invalid-json"/);
  assert.equal((await r.call("GET", "/v1/datastores/torn")).body.seq, 0);
});

test("hostile tokens open nothing", async (t) => {
  const own = await relay(t, { vars: { ...open, NEAP_SECRET: "the secret of this test" } });
  const random = dice(seed + 2);
  const exp = Math.floor(Date.now() / 1_000) + 600;
  const good = { ds: "a", scope: ["read", "write", "admin"], sub: "s", exp };
  const as = (jwt, path) => own.call("GET", path, undefined, { Authorization: `Bearer ${jwt}` });
  await own.call("POST", "/v1/datastores", { id: "a" }, { Authorization: `Bearer ${token("the secret of this test", good)}` });
  const valid = token("the secret of this test", good);
  assert.equal((await as(valid, "/v1/datastores/a")).status, 200);
  for (let i = 0; i < (long ? 3_000 : 300); i += 1) {
    const kind = random.below(4);
    const claims = { ...good, [random.pick(["ds", "scope", "exp", "sub"])]: random.pick([undefined, null, 0, -1, "x", [], {}, 1e300, "b"]) };
    const jwt =
      kind === 0 ? token("another secret", good)
      : kind === 1 ? token("the secret of this test", good, { head: { alg: random.pick(["none", "HS512", "RS256", "hs256", null]), typ: "JWT" } })
      : kind === 2 ? token("the secret of this test", { ...claims, exp: random.pick([0, -1, "x", null, exp - 10_000]) })
      : garbled(random, valid);
    if (jwt === valid) continue;
    const answer = await as(jwt, "/v1/datastores/a");
    assert.equal(answer.status, 401, `${kind}: ${answer.text}`);
  }
  assert.equal((await as(token("the secret of this test", { ...good, ds: "b" }), "/v1/datastores/a")).status, 404);
});

/** Another byte somewhere; not in a part's last digit, whose unused bits a reader may skip. */
function garbled({ below, pick }, jwt) {
  const at = below(jwt.length - 1);
  if (jwt[at] === "." || jwt[at + 1] === ".") return jwt;
  const other = pick([..."ABCxyz019-_"]);
  return jwt.slice(0, at) + (other === jwt[at] ? "Z" : other) + jwt.slice(at + 1);
}
