// What sockets show each other: told at intervals, never stored, gone with the connection, kept over a sleep.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { before, test } from "node:test";
import { contractBuild, long, relay, sleep, token, until } from "./house.mjs";
import { presence } from "./wire.mjs";

let build;
before(async () => {
  build = await contractBuild();
});

async function member(r, options) {
  const raw = await r.socket("a", options);
  await raw.greet({ hello: { options: { ttl: 600 }, authors: [{ id: randomBytes(16) }] } });
  return raw;
}

/** What a socket sees of the others now: states, by their names. */
function seen(raw) {
  const others = new Map();
  for (const { kind, isWhole, shown } of raw.frames) {
    if (kind !== "presence") continue;
    if (isWhole) others.clear();
    for (const [who, state] of shown) if (state === null) others.delete(who);
    else others.set(who, state);
  }
  return [...others.values()];
}

const sees = (raw, ...states) =>
  until(`seeing ${JSON.stringify(states)}`, () => {
    assert(!raw.closed, JSON.stringify(raw.closed));
    const now = seen(raw);
    return now.length === states.length && states.every((state) => now.some((other) => JSON.stringify(other) === JSON.stringify(state)));
  });

test("each sees the others, in nobody's row and with no seq", async (t) => {
  const r = await relay(t, { build });
  const [a, b] = [await member(r), await member(r)];
  const count = async () => (await r.call("POST", "/v1/datastores/counter/contract", "counts")).body;
  const before = await count();
  a.send(presence({ cursor: 1 }));
  await sees(b, { cursor: 1 });
  b.send(presence("7"));
  await sees(a, 7);
  const c = await member(r);
  await sees(c, { cursor: 1 }, 7);
  a.send(presence({ cursor: 2 }));
  await Promise.all([sees(b, { cursor: 2 }), sees(c, { cursor: 2 }, 7)]);
  a.send(presence());
  await sees(b);
  b.socket.close();
  await sees(c);
  const after = await count();
  assert.equal(after.rowsWritten, before.rowsWritten);
  assert.equal((await r.call("GET", "/v1/datastores/a")).body.seq, 0);
  assert.deepEqual(seen(a), []);
});

test("who does not wait his turn is told of no more often than others, and the last state counts", async (t) => {
  const r = await relay(t);
  const [fast, other] = [await member(r), await member(r)];
  const start = performance.now();
  for (let n = 0; n < 3_000; n += 1) {
    fast.send(presence({ n }));
    if (n % 100 === 99) await sleep(10);
  }
  await sees(other, { n: 2_999 });
  const told = other.frames.filter(({ kind }) => kind === "presence").length;
  const most = (performance.now() - start) / 50 + 2;
  t.diagnostic(`3000 states were told in ${told} frames, ${Math.floor(most)} allowed`);
  assert(told <= most, `${told} frames`);
  for (const bad of ["{", `"${"x".repeat(4_095)}"`]) {
    const raw = await member(r);
    raw.send(presence(bad));
    assert.deepEqual(await raw.whenClosed(), { code: 4400, reason: "bad-request" });
  }
  await sees(other, { n: 2_999 });
});

test("whoever reads sees and is seen, until the token ends", async (t) => {
  const secret = "s3cret, long enough to be one";
  const r = await relay(t, { vars: { NEAP_SECRET: secret } });
  const as = (scope, exp) => ({ protocols: ["neap.v1", `neap.token.${token(secret, { ds: "a", scope, sub: "s", exp })}`] });
  const now = Math.floor(Date.now() / 1000);
  const writer = await member(r, as(["write"], now + 600));
  const reader = await member(r, as(["read"], now + 3));
  reader.send(presence("1"));
  await sees(writer, 1);
  assert.equal((await reader.whenClosed()).code, 4401);
  await sees(writer);
});

/** Lets the object lose all that it has in memory, while its sockets stay. */
async function trap(r) {
  const abort = new AbortController();
  const trapped = fetch(`${r.url()}/v1/datastores/a/contract`, { method: "POST", body: "trap", signal: abort.signal }).catch(() => null);
  await Promise.race([trapped, sleep(500)]);
  abort.abort();
}

const losses = { "a trap": trap, ...(long ? { "a sleep": () => sleep(13_000) } : {}) };
for (const [what, lose] of Object.entries(losses)) {
  test(`${what} loses nobody, and who goes meanwhile is told as gone`, async (t) => {
    const r = await relay(t, { build });
    const [a, b, c] = [await member(r), await member(r), await member(r)];
    a.send(presence({ name: "a" }));
    b.send(presence({ name: "b" }));
    await sees(c, { name: "a" }, { name: "b" });
    await lose(r);
    b.socket.close();
    await sees(c, { name: "a" });
    await sees(await member(r), { name: "a" });
    await lose(r);
    await sees(await member(r), { name: "a" });
  });
}
