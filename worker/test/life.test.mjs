// What the relay survives: restarts, kills, sleep, traps, its own clean-up.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { assertProblem, long, relay, set, sleep, until } from "./house.mjs";
import { hello } from "./wire.mjs";

const path = (id, rest = "") => `/v1/datastores/${id}${rest}`;

test("a restart keeps everything", async (t) => {
  const r = await relay(t);
  const a = await r.socket("a");
  await a.greet({ hello: undefined });
  const kept = [set("c", "k", { v: 1.5 }), set("d", "é😀", { t: "\u0000" })];
  a.push(kept, [{ op: "delete", collection: "c", key: "k" }], [{ op: "patch", collection: "c", key: "no", data: {} }]);
  await a.outcome(3);
  const once = (ops) => r.call("POST", path("a", "/mutations"), { ops }, { "Idempotency-Key": "once" });
  const first = await once([set("c", "once")]);
  const [before, changes] = [await r.call("GET", path("a")), await r.call("GET", path("a", "/changes?since=1"))];
  await r.restart();
  assert.deepEqual((await r.call("GET", path("a"))).body, before.body);
  assert.deepEqual((await r.call("GET", path("a", "/changes?since=1"))).body, changes.body);
  assert.deepEqual((await once([set("c", "once")])).body, first.body);
  const b = await r.socket("a");
  const welcome = await b.greet({ id: a.id, generation: 2 });
  assert.deepEqual([welcome.standings[0], welcome.head], [{ standing: "settled", value: 3 }, 3]);
  assert.deepEqual(b.frames[1].last.settled.at(-1), { author: 0, turn: 3, refused: "not-found", op: 0 });
});

test("a power cut loses nothing that was answered, and doubles nothing", async (t) => {
  const r = await relay(t);
  await r.call("POST", path("a"), undefined).catch(() => {});
  await r.call("POST", "/v1/datastores", { id: "a", kind: "permanent" });
  const rounds = long ? 20 : 3;
  const writers = long ? 20 : 6;
  const state = Array.from({ length: writers }, () => ({ id: randomBytes(16), generation: 0, made: 0, settled: 0 }));
  const answered = new Set();
  const sent = new Set();
  let http = 0;
  for (let round = 0; round < rounds; round += 1) {
    let on = true;
    const byHttp = async () => {
      while (on) {
        const key = `h${(http += 1)}`;
        const answer = await r.call("POST", path("a", "/mutations"), { ops: [set("c", key)] }).catch(() => null);
        sent.add(key);
        if (answer?.status === 200) answered.add(key);
        else await sleep(5);
      }
    };
    const bySocket = async (writer) => {
      const raw = await r.socket("a").catch(() => null);
      if (!raw) return;
      raw.acked = writer.settled;
      const key = (turn) => `w${state.indexOf(writer)}-${turn}`;
      raw.take = (frame) => {
        raw.frames.push(frame);
        for (const { turn, seq } of frame.settled ?? frame.last?.settled ?? []) {
          if (seq) answered.add(key(turn));
          writer.settled = Math.max(writer.settled, turn);
        }
      };
      const welcome = await raw.greet({ id: writer.id, generation: (writer.generation += 1), birth: writer.birth, acked: writer.settled, hello: { options: {}, authors: [{ id: writer.id, generation: writer.generation, birth: writer.birth, acked: writer.settled }] } }).catch(() => null);
      if (!welcome) return;
      const [standing] = welcome.standings;
      if (standing.standing === "new") writer.birth = standing.value;
      // What the relay has not settled is pushed again under the same turns.
      raw.turn = standing.standing === "settled" ? standing.value : 0;
      while (on && !raw.closed) {
        if (raw.turn - writer.settled < 20) {
          raw.push([set("c", key(raw.turn + 1))]);
          writer.made = Math.max(writer.made, raw.turn);
          for (let turn = 1; turn <= writer.made; turn += 1) sent.add(key(turn));
          raw.acked = writer.settled;
        }
        await sleep(1);
      }
    };
    const all = [byHttp(), byHttp(), ...state.map(bySocket)];
    await sleep(300 + Math.random() * 300);
    await r.kill();
    on = false;
    await Promise.all(all);
    await r.restart();
  }
  const stored = new Map();
  let after = 0;
  do {
    const { body } = await r.call("GET", path("a", `/collections/c/records?after=${after}&limit=10000`));
    body.records.forEach(({ key, seq }) => stored.set(key, seq));
    after = body.next;
  } while (after !== null);
  const lost = [...answered].filter((key) => !stored.has(key));
  const { seq, records } = (await r.call("GET", path("a"))).body;
  t.diagnostic(`${rounds} kills, ${answered.size} answered, ${lost.length} lost, ${seq - stored.size} doubled, ${stored.size - answered.size} stored unanswered`);
  assert.deepEqual(lost, []);
  assert.equal(records, stored.size);
  assert.equal(seq, stored.size, "each made a record of its own, so each took one seq");
  assert([...stored.keys()].every((key) => sent.has(key)));
  assert(answered.size > 50, `${answered.size} were answered`);
});

test("what has expired is cleaned up, and its sockets hear of it", async (t) => {
  const r = await relay(t);
  const a = await r.socket("a");
  await a.greet({ hello: { options: { ttl: 1 }, authors: [{ id: randomBytes(16) }] } });
  const quiet = await r.call("POST", "/v1/datastores", { id: "quiet", ttl: 1 });
  await a.outcome(a.push([set("c", "k")]));
  assert.equal(r.databases().length, 2);
  assert.deepEqual(await a.whenClosed(), { code: 4410, reason: "expired" });
  await sleep(Date.parse(quiet.body.expiresAt) + 1 - Date.now());
  assertProblem(await r.call("GET", path("quiet")), 404, "not-found");
  await until("the clean-up", () => r.databases().length === 0);
  assert.equal((await r.call("POST", "/v1/datastores", { id: "quiet" })).body.epoch === quiet.body.epoch, false);
});

test("a life that was prolonged outlives its first alarm, one that was cut short does not", async (t) => {
  const r = await relay(t);
  await r.call("POST", "/v1/datastores", { id: "longer", ttl: 1 });
  await r.call("PATCH", path("longer"), { ttl: 600 });
  await r.call("POST", "/v1/datastores", { id: "sliding", ttl: 1, sliding: true });
  await r.call("POST", "/v1/datastores", { id: "shorter", ttl: 600 });
  await r.call("PATCH", path("shorter"), { ttl: 1 });
  await sleep(500);
  await r.call("POST", "/v1/datastores", { id: "sliding" });
  await sleep(900);
  assert.deepEqual(
    await Promise.all(["longer", "sliding", "shorter"].map(async (id) => (await r.call("GET", path(id))).status)),
    [200, 200, 404],
  );
  await until("the clean-up of two", () => r.databases().length === 1);
  assert.equal((await r.call("GET", path("longer"))).status, 200);
});

test("an expiry that came while nothing ran is cleaned up at the next start", async (t) => {
  const r = await relay(t);
  await r.call("POST", "/v1/datastores", { id: "a", ttl: 1 });
  await r.kill();
  await sleep(1_200);
  await r.restart();
  assertProblem(await r.call("GET", path("a")), 404, "not-found");
  const b = await r.socket("a");
  b.send(hello({ epoch: "0123456789abcdef", authors: [{ id: randomBytes(16) }] }));
  assert.deepEqual(await b.whenClosed(), { code: 4410, reason: "expired" });
  await until("the clean-up", () => r.databases().length === 0);
});

test("an alarm that wakes a sleeping object too early sets the next one", { skip: !long && "15 s of waiting: NEAP_LONG=1" }, async (t) => {
  const r = await relay(t);
  const a = await r.socket("a");
  await a.greet({ hello: { options: { ttl: 12 }, authors: [{ id: randomBytes(16) }] } });
  await r.call("PATCH", path("a"), { ttl: 15 });
  await sleep(14_000);
  assert.equal(a.closed, null);
  await sleep(2_000);
  assert.deepEqual(a.closed, { code: 4410, reason: "expired" });
  await until("the clean-up", () => r.databases().length === 0);
});

test("an idle object with live sockets sleeps, and wakes as if nothing had been", { skip: !long && "10 s of idling: NEAP_LONG=1" }, async (t) => {
  const r = await relay(t);
  const [a, b] = [await r.socket("a"), await r.socket("a")];
  await a.greet();
  await b.greet();
  await a.outcome(a.push([set("c", "before")]));
  for (let i = 0; i < 13; i += 1) {
    await sleep(1_000);
    a.socket.send("ping"); // answered by the platform, which lets the object sleep
  }
  await until("the pings' answers", () => a.texts.length === 13);
  assert(a.texts.every((text) => text === `${a.epoch}:1:0`));
  const start = performance.now();
  assert.equal((await a.outcome(a.push([set("c", "after")]))).seq, 2);
  t.diagnostic(`first answered write after the sleep: ${(performance.now() - start).toFixed(1)} ms`);
  await until("the other has heard", () => b.seq === 2);
});
