// How fast one client may write, over HTTP and over a socket.

import assert from "node:assert/strict";
import { test } from "node:test";
import { assertProblem, relay, set, sleep, token, until } from "./house.mjs";
import { read } from "./wire.mjs";

const path = (id, rest = "") => `/v1/datastores/${id}${rest}`;
const record = (id, key) => path(id, `/collections/c/records/${key}`);

test("who writes too fast over HTTP is told when to come again, and nobody else is", async (t) => {
  // So slow a rate that none of the burst comes back while this runs.
  const r = await relay(t, { vars: { NEAP_RATE_MUTATIONS: "1:5" } });
  const from = (address) => ({ "CF-Connecting-IP": address });
  await r.call("POST", "/v1/datastores", { id: "a" }, from("192.0.2.1"));
  const answers = [];
  for (let i = 0; i < 9; i += 1) answers.push(await r.call("PUT", record("a", `${i}`), {}, from("192.0.2.1")));
  const late = answers.filter(({ status }) => status === 429);
  assert(late.length > 0 && answers.slice(0, 4).every(({ status }) => status === 200), answers.map(({ status }) => status).join());
  assertProblem(late[0], 429, "rate-limited");
  assert.match(late[0].headers.get("retry-after"), /^[1-9]\d*$/);
  assert.equal(late[0].headers.get("access-control-expose-headers"), "ETag, Retry-After");
  assert.equal((await r.call("PUT", record("a", "other"), {}, from("192.0.2.2"))).status, 200);
  // Reading is free, and what was refused changed nothing.
  const kept = answers.filter(({ status }) => status === 200).length + 1;
  assert.equal((await r.call("GET", path("a"), undefined, from("192.0.2.1"))).body.records, kept);
});

test("bytes have a rate of their own; with a secret it counts by subject", async (t) => {
  const r = await relay(t, { vars: { NEAP_SECRET: "s", NEAP_RATE_BYTES: "1:10000" } });
  const as = (sub, method, path, body, address) => {
    const claims = { ds: "a", scope: ["write"], sub, exp: Math.floor(Date.now() / 1000) + 600 };
    return r.call(method, path, body, { Authorization: `Bearer ${token("s", claims)}`, "CF-Connecting-IP": address });
  };
  await as("ann", "POST", "/v1/datastores", { id: "a" }, "192.0.2.1");
  const much = { text: "x".repeat(6_000) };
  assert.equal((await as("ann", "PUT", record("a", "k"), much, "192.0.2.1")).status, 200);
  const late = await as("ann", "PUT", record("a", "l"), much, "192.0.2.2");
  assertProblem(late, 429, "rate-limited");
  assert(Number(late.headers.get("retry-after")) > 60);
  assert.equal((await as("eve", "PUT", record("a", "l"), much, "192.0.2.1")).status, 200);
});

test("what a subject writes over a socket counts when it speaks over HTTP, and not the other way round", async (t) => {
  // So slow a rate that nothing comes back while this runs.
  const r = await relay(t, { vars: { NEAP_SECRET: "s", NEAP_RATE_MUTATIONS: "1:20" } });
  const jwt = (sub) => token("s", { ds: "a", scope: ["write"], sub, exp: Math.floor(Date.now() / 1000) + 600 });
  const put = async (sub, key) => (await r.call("PUT", record("a", key), {}, { Authorization: `Bearer ${jwt(sub)}` })).status;
  const socket = await r.socket("a", { protocols: ["neap.v1", `neap.token.${jwt("ann")}`] });
  await socket.greet();
  assert.equal(await put("ann", "first"), 200);
  await socket.outcome(socket.push(...Array.from({ length: 16 }, (_, n) => [set("c", `s${n}`)])));
  const statuses = [];
  for (let n = 0; n < 8; n++) statuses.push(await put("ann", `h${n}`));
  const taken = statuses.filter((status) => status === 200).length;
  assert(taken >= 1 && taken <= 5 && statuses.at(-1) === 429, `${statuses}`);
  assert.equal(await put("eve", "other"), 200);
  await socket.outcome(socket.push([set("c", "more")], [set("c", "and more")]));
  assert.equal(socket.closed, null, "a socket that keeps to what it was told is never too fast");
});

test("who opens too many datastores is told when to come again, by address or by subject, and goes on in those that are open", async (t) => {
  const r = await relay(t, { vars: { NEAP_RATE_OPENINGS: "1:3" } });
  const from = (address) => ({ "CF-Connecting-IP": address });
  const open = (id, address) => r.call("POST", "/v1/datastores", { id }, from(address));
  const answers = [];
  for (let n = 0; n < 9; n += 1) answers.push(await open(`a${n}`, "192.0.2.1"));
  const late = answers.findIndex(({ status }) => status === 429);
  assert(late >= 3, answers.map(({ status }) => status).join());
  assertProblem(answers[late], 429, "rate-limited");
  assert.match(answers[late].headers.get("retry-after"), /^[1-9]\d*$/);
  assertProblem(await r.call("GET", path(`a${late}`)), 404, "not-found");
  assert.equal((await r.call("PUT", record("a0", "k"), {}, from("192.0.2.1"))).status, 200);
  assert.equal((await open("b", "192.0.2.2")).status, 201);

  const closed = await relay(t, { vars: { NEAP_RATE_OPENINGS: "1:3", NEAP_SECRET: "s" } });
  const as = (sub) => ({ protocols: ["neap.v1", `neap.token.${token("s", { ds: "*", scope: ["write"], sub, exp: Math.floor(Date.now() / 1000) + 600 })}`] });
  const sockets = [];
  for (let n = 0; n < 9; n += 1) sockets.push(await closed.socket(`a${n}`, as("ann")));
  await until("one is refused", () => sockets.some((socket) => socket.closed));
  assert.deepEqual(sockets.find((socket) => socket.closed).closed, { code: 4429, reason: "rate-limited" });
  await sockets[0].greet();
  assert.equal(sockets[0].closed, null);
  await (await closed.socket("b", as("eve"))).greet();
});

test("a rate that makes no sense leaves the usual one", async (t) => {
  const r = await relay(t, { vars: { NEAP_RATE_MUTATIONS: "fast" } });
  await r.call("POST", "/v1/datastores", { id: "a" });
  assert.equal((await r.call("PUT", record("a", "k"), {})).status, 200);
});

test("the handshake states the rates; who ignores them is closed, and nobody else notices", async (t) => {
  const r = await relay(t, { vars: { NEAP_RATE_MUTATIONS: "100:200", NEAP_RATE_BYTES: "50000:300000" } });
  const [hostile, other] = [await r.socket("a"), await r.socket("a")];
  const { rates } = await hostile.greet();
  assert.deepEqual(rates, { mutations: [100, 200], bytes: [50_000, 300_000] });
  await other.greet();
  const flood = Array.from({ length: 50 }, (_, n) => [set("c", `${n}`)]);
  let pushed = 0;
  for (; !hostile.closed && pushed < 10_000; pushed += flood.length) {
    hostile.push(...flood);
    await sleep(1);
  }
  assert.deepEqual(await hostile.whenClosed(), { code: 4429, reason: "rate-limited" });
  const { seq } = (await r.call("GET", path("a"))).body;
  t.diagnostic(`${pushed} pushed, ${seq} taken`);
  // The burst, ten seconds' worth of slack, and what has come back meanwhile.
  assert(seq >= 1_200 && seq < 1_900, `${seq} were taken`);
  assert((await other.outcome(other.push([set("c", "other")]))).seq > seq);

  const large = await r.socket("a");
  await large.greet();
  for (let n = 0; !large.closed && n < 100; n += 1) {
    large.push([set("d", "k", { text: "x".repeat(50_000) })]);
    await sleep(1);
  }
  assert.deepEqual(await large.whenClosed(), { code: 4429, reason: "rate-limited" });
  assert((await other.outcome(other.push([set("c", "other")]))).seq > seq);
});

test("who talks too much without writing anything is closed as well, and is told why", async (t) => {
  const r = await relay(t);
  const [idle, other] = [await r.socket("a"), await r.socket("a")];
  for (const raw of [idle, other]) await raw.greet();
  for (let n = 0; n < 30_000 && !idle.closed; n += 1) {
    idle.send(read(1));
    if (n % 500 === 0) await sleep(1);
  }
  assert.deepEqual(await idle.whenClosed(), { code: 4429, reason: "rate-limited" });
  assert.equal((await other.outcome(other.push([set("c", "k")]))).seq, 1);
});

test("sockets of one subject share what it may, and are told when others come and go", async (t) => {
  const r = await relay(t, { vars: { NEAP_SECRET: "s", NEAP_RATE_MUTATIONS: "100:200" } });
  const as = (sub) => ({ protocols: ["neap.v1", `neap.token.${token("s", { ds: "a", scope: ["write"], sub, exp: Math.floor(Date.now() / 1000) + 600 })}`] });
  const ann = await r.socket("a", as("ann"));
  assert.deepEqual((await ann.greet()).rates.mutations, [100, 200]);
  ann.push(...Array.from({ length: 150 }, (_, n) => [set("c", `${n}`)]));
  await ann.outcome(150);
  const again = await r.socket("a", as("ann"));
  const welcome = await again.greet();
  assert.deepEqual(welcome.rates.mutations, [50, 100]);
  assert(welcome.debt.mutations > 1_000_000, "most of the burst is gone already");
  assert.deepEqual((await ann.wait("its share", ({ kind }) => kind === "rates")).rates.mutations, [50, 100]);
  const eve = await r.socket("a", as("eve"));
  assert.deepEqual((await eve.greet()).rates.mutations, [100, 200]);
  again.socket.close();
  await ann.wait("all of it", ({ kind, rates }) => kind === "rates" && rates.mutations[0] === 100);
});
