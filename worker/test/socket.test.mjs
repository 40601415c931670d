// The socket, spoken to by hand: greeting, pushing, hearing, and everything that a peer can do wrong.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { before, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { assertProblem, Bare, long, Raw, relay, set, sleep, until } from "./house.mjs";
import { hello, next, push } from "./wire.mjs";

let r;
before(async (t) => {
  r = await relay(t);
});

let count = 0;
const fresh = () => `s${(count += 1)}`;
const http = (method, path, ...rest) => r.call(method, `/v1/datastores/${path}`, ...rest);

test("Hello creates, Welcome and the first page answer", async () => {
  const a = await r.socket(fresh());
  assert.equal(a.socket.protocol, "neap.v1");
  const id = randomBytes(16);
  const welcome = await a.greet({ id, hello: undefined });
  assert.deepEqual([welcome.version, welcome.head, welcome.info.kind, welcome.info.primary], [1, 0, "temp", "id"]);
  assert.equal(welcome.standings[0].standing, "new");
  assert(Math.abs(welcome.now - Date.now()) < 2_000);
  const [, page] = a.frames;
  assert.deepEqual([page.rows, page.last.digest, page.last.settled], [[], "0".repeat(32), []]);
});

test("a push is settled for its author and heard by all others, in one frame each", async () => {
  const id = fresh();
  const [a, b] = [await r.socket(id), await r.socket(id)];
  await a.greet();
  await b.greet();
  const turn = a.push([set("c", "k", { v: 1 }), set("d", "l")]);
  assert.deepEqual(await a.outcome(turn), { author: 0, turn: 1, seq: 1 });
  const delta = await b.wait("the delta", ({ kind }) => kind === "delta");
  assert.deepEqual([delta.from, delta.to, delta.settled], [0, 1, []]);
  assert.deepEqual(delta.rows, [
    { collection: "c", key: "k", seq: 1, data: '{"id":"k","v":1}' },
    { collection: "d", key: "l", seq: 1, data: '{"id":"l"}' },
  ]);
  const own = a.frames.at(-1);
  assert.deepEqual([own.rows, own.digest], [delta.rows, delta.digest]);
  const refused = a.push([{ op: "patch", collection: "c", key: "nobody", data: {} }]);
  assert.deepEqual(await a.outcome(refused), { author: 0, turn: 2, refused: "not-found", op: 0 });
  const nothing = a.push([{ op: "delete", collection: "c", key: "nobody" }]);
  assert.deepEqual(await a.outcome(nothing), { author: 0, turn: 3, seq: null });
  assert.equal(b.frames.filter(({ kind }) => kind === "delta").length, 1, "b hears nothing of what changed nothing");
  assert.equal((await http("GET", id)).body.digest, delta.digest);
});

test("writes over HTTP and over sockets are one order", async () => {
  const id = fresh();
  const a = await r.socket(id);
  await a.greet();
  await http("PUT", `${id}/collections/c/records/k`, { v: 1 });
  await a.wait("the write", ({ kind, to }) => kind === "delta" && to === 1);
  const turn = a.push([{ ...set("c", "k", { v: 2 }), if: { seq: 1 } }]);
  assert.equal((await a.outcome(turn)).seq, 2);
  assert.deepEqual((await http("GET", `${id}/collections/c/records/k`)).body, { key: "k", data: { id: "k", v: 2 }, seq: 2 });
});

test("a burst is committed in groups, and every turn is settled once and in order", async () => {
  const id = fresh();
  const [a, b] = [await r.socket(id), await r.socket(id)];
  await a.greet();
  await b.greet();
  for (let i = 0; i < 500; i += 1) a.push([set("c", `k${i % 50}`, { i })]);
  await a.outcome(500);
  assert.deepEqual(a.settled().map(({ turn, seq }) => [turn, seq]), Array.from({ length: 500 }, (_, i) => [i + 1, i + 1]));
  await until("b has heard all", () => b.seq === 500);
  const deltas = a.frames.filter(({ kind }) => kind === "delta").length;
  assert(deltas <= 60, `${deltas} commits for 500 frames`);
});

test("a repeated push is answered the same and applied once", async () => {
  const id = fresh();
  const author = randomBytes(16);
  const a = await r.socket(id);
  await a.greet({ id: author });
  a.push([set("c", "k")], [{ op: "patch", collection: "c", key: "no", data: {} }]);
  await a.outcome(2);
  a.socket.close();
  const again = await r.socket(id);
  const welcome = await again.greet({ id: author, generation: 2 });
  assert.deepEqual(welcome.standings, [{ standing: "settled", value: 2 }]);
  const page = again.frames.find(({ kind }) => kind === "page");
  assert.deepEqual(page.last.settled, [{ author: 0, turn: 1, seq: 1 }, { author: 0, turn: 2, refused: "not-found", op: 0 }]);
  again.push([set("c", "k")], [{ op: "patch", collection: "c", key: "no", data: {} }], [set("c", "l")]);
  await again.wait("that it has missed something", ({ kind }) => kind === "behind");
  again.send(next({ after: 1, floor: 1 }));
  await again.live();
  assert.deepEqual(again.frames.findLast(({ kind }) => kind === "page").last.settled.map(({ turn, seq }) => [turn, seq]), [[1, 1], [2, undefined], [3, 2]]);
  assert.equal((await http("GET", id)).body.seq, 2);
});

test("catch-up comes in pages that are asked for, and a few ahead", async () => {
  const id = fresh();
  const a = await r.socket(id);
  await a.greet();
  const text = "x".repeat(1_000);
  for (let i = 0; i < 10; i += 1) a.push(Array.from({ length: 100 }, (_, j) => set("c", `k${i}-${j}`, { text })));
  await a.outcome(10);
  const idle = await r.socket(id);
  idle.send(hello({ authors: [{ id: randomBytes(16) }] }));
  const b = await r.socket(id);
  await b.greet();
  const pages = b.frames.filter(({ kind }) => kind === "page");
  assert(pages.length > 3, `${pages.length} pages`);
  assert.equal(pages.flatMap(({ rows }) => rows).length, 1_000);
  assert.equal(pages.at(-1).last.digest, (await http("GET", id)).body.digest);
  assert(pages.slice(0, -1).every(({ last }) => last === null));
  assert(pages.slice(1).every(({ from }, before) => isDeepStrictEqual(from, pages[before].cursor)));
  const unasked = idle.frames.filter(({ kind }) => kind === "page");
  assert(unasked.length < pages.length && unasked.length <= 2, `${unasked.length} pages for who asks for none`);
});

test("a ping is answered by the platform with epoch, head and what pools were given", async () => {
  const id = fresh();
  const a = await r.socket(id);
  a.socket.send("ping");
  await until("an answer", () => a.texts.length === 1);
  assert.equal(a.texts[0], "", "nothing has been opened yet");
  await a.greet();
  a.socket.send("ping");
  await until("an answer", () => a.texts.length === 2);
  assert.equal(a.texts[1], `${a.epoch}:0:0`);
  a.push([set("c", "k")]);
  await a.outcome(1);
  a.socket.send("ping");
  await until("an answer", () => a.texts.length === 3);
  assert.equal(a.texts[2], `${a.epoch}:1:0`);
});

test("a bad frame ends its own session and nothing else", async () => {
  const id = fresh();
  const witness = await r.socket(id);
  await witness.greet();
  const author = { id: randomBytes(16) };
  const greeted = (frame) => async (raw) => {
    await raw.greet();
    raw.send(frame);
  };
  const bad = {
    "no frame": (raw) => raw.send(new Uint8Array([9])),
    "an empty frame": (raw) => raw.send(new Uint8Array()),
    "a text": (raw) => raw.send("hello"),
    "a frame before Hello": (raw) => raw.send(next({ after: 0, floor: 0 })),
    "Hello twice": greeted(hello({ authors: [author] })),
    "no author": (raw) => raw.send(hello({ authors: [] })),
    "too many authors": (raw) => raw.send(hello({ authors: Array.from({ length: 65 }, () => author) })),
    "version zero": (raw) => raw.send(hello({ version: 0, authors: [author] })),
    "a ttl of zero": (raw) => raw.send(hello({ options: { ttl: 0 }, authors: [author] })),
    "a torn frame": (raw) => raw.send(hello({ authors: [author] }).subarray(0, 20)),
    "a frame over 1 MiB": (raw) => raw.send(new Uint8Array(1024 * 1024 + 1)),
    "a frame of 8 MiB": (raw) => raw.send(new Uint8Array(8 * 1024 * 1024)),
    "a gap between turns": greeted(push({ first: 2, mutations: [[set("c", "k")]] })),
    "an author that was not introduced": greeted(push({ author: 3, first: 1, mutations: [[set("c", "k")]] })),
    "a bad name": greeted(push({ first: 1, mutations: [[set("a b", "k")]] })),
    "a key that is not the record's": greeted(push({ first: 1, mutations: [[{ ...set("c", "k"), key: "other" }]] })),
    "a length beyond the frame": greeted(new Uint8Array([1, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x7f])),
  };
  for (const [what, send] of Object.entries(bad)) {
    const raw = await r.socket(id);
    await send(raw);
    const closed = await raw.whenClosed();
    assert.deepEqual(closed, { code: 4400, reason: "bad-request" }, what);
  }
  const turn = witness.push([set("c", "fine")]);
  assert.equal((await witness.outcome(turn)).seq, 1);
});

test("other kind or primary is 4409, an epoch of the past is 4410", async () => {
  const id = fresh();
  const a = await r.socket(id);
  await a.greet();
  for (const [options, expected] of [
    [{ options: { kind: "permanent" } }, { code: 4409, reason: "options-mismatch" }],
    [{ options: { primary: "key" } }, { code: 4409, reason: "options-mismatch" }],
  ]) {
    const b = await r.socket(id);
    b.send(hello({ ...options, authors: [{ id: randomBytes(16) }] }));
    assert.deepEqual(await b.whenClosed(), expected);
  }
  const c = await r.socket(fresh());
  c.send(hello({ epoch: "0123456789abcdef", authors: [{ id: randomBytes(16) }] }));
  assert.deepEqual(await c.whenClosed(), { code: 4410, reason: "expired" });
});

test("one replica has one speaker: the newer or the higher generation", async () => {
  const id = fresh();
  const author = randomBytes(16);
  const a = await r.socket(id);
  await a.greet({ id: author, generation: 1 });
  const b = await r.socket(id);
  await b.greet({ id: author, generation: 2 });
  assert.deepEqual(await a.whenClosed(), { code: 4411, reason: "superseded" });
  const c = await r.socket(id);
  c.send(hello({ authors: [{ id: author, generation: 1 }] }));
  assert.deepEqual(await c.whenClosed(), { code: 4411, reason: "superseded" });
});

test("deleting the datastore tells every socket", async () => {
  const id = fresh();
  const [a, b] = [await r.socket(id), await r.socket(id)];
  await a.greet();
  await b.greet();
  assert.equal((await http("DELETE", id)).status, 204);
  for (const raw of [a, b]) assert.deepEqual(await raw.whenClosed(), { code: 4410, reason: "expired" });
});

test("a close is answered with its code", async () => {
  const a = await r.socket(fresh());
  await a.greet();
  a.socket.close(4000, "bye");
  assert.equal((await a.whenClosed()).code, 4000);
});

test("what was said before a close still counts", async () => {
  const id = fresh();
  const a = await r.socket(id);
  await a.greet();
  a.push([set("c", "last words")]);
  a.socket.close(4000, "bye");
  // While the write waits for the disk, workerd may end the connection without the answer (1006).
  await a.whenClosed();
  assert.equal((await http("GET", `${id}/collections/c/records/last%20words`)).status, 200);
});

test("a peer that vanishes stops nobody", async () => {
  const id = fresh();
  const a = await r.socket(id);
  await a.greet();
  for (let i = 0; i < 3; i += 1) {
    const dead = await Bare.open(r.url(), id);
    dead.send(hello({ authors: [{ id: randomBytes(16) }] }));
    await until("its page", () => dead.frames.length === 2);
    dead.tcp.resetAndDestroy();
  }
  for (let i = 0; i < 3; i += 1) await a.outcome(a.push([set("c", `${i}`)]));
});

test("the handshake: without an upgrade 426, without the protocol 4400", async () => {
  const plain = await http("GET", `${fresh()}/socket`);
  assertProblem(plain, 426, "upgrade-required");
  const none = await Raw.open(r.url(), fresh(), { protocols: [] });
  assert.deepEqual(await none.whenClosed(), { code: 4400, reason: "bad-request" });
  for (const name of ["not%20a%20name", "x".repeat(65)]) {
    const named = await Raw.open(r.url(), name);
    assert.deepEqual(await named.whenClosed(), { code: 4400, reason: "bad-request" }, name);
  }
});

test("a socket that never greets leaves nothing behind", async () => {
  const before = r.databases().length;
  const a = await r.socket("silent");
  a.socket.close();
  await a.whenClosed();
  await sleep(50);
  assert.equal(r.databases().length, before);
  assertProblem(await http("GET", "silent"), 404, "not-found");
});

test("a datastore takes so many sockets and no more", async (t) => {
  const own = await relay(t, { vars: { NEAP_MAX_SOCKETS: "2" } });
  const [a] = [await own.socket("a"), await own.socket("a")];
  const third = await own.socket("a");
  assert.deepEqual(await third.whenClosed(), { code: 4429, reason: "too-many-sockets" });
  a.socket.close();
  await a.whenClosed();
  await (await own.socket("a")).greet();
});

test("who never says Hello gives its place up to whoever comes", { skip: !long && "31 s of waiting: NEAP_LONG=1" }, async (t) => {
  const own = await relay(t, { vars: { NEAP_MAX_SOCKETS: "1" } });
  const silent = await own.socket("a");
  await sleep(31_000);
  await (await own.socket("a")).greet();
  assert.deepEqual(await silent.whenClosed(), { code: 4408, reason: "too-slow" });
});
