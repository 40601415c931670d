// Tokens of replicas on the real relay: renewed over the open socket, asked for anew after an end.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { startRelay } from "../../../tools/relay.mjs";
import { open } from "../dist/index.js";
import { tempDir, until } from "./house.mjs";

const [secret, previous] = ["the secret of these tests", "the one before"];

function jwt(by, seconds, claims = {}) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const exp = Date.now() / 1000 + seconds;
  const signed = `${part({ alg: "HS256" })}.${part({ ds: "d", scope: ["write"], sub: "ada", exp, ...claims })}`;
  return `${signed}.${createHmac("sha256", by).update(signed).digest("base64url")}`;
}

/** A replica that counts its connections and remembers how they ended. */
async function replica(t, token, options = {}) {
  const relay = await startRelay({ data: tempDir(t), vars: { NEAP_SECRET: secret, NEAP_SECRET_PREVIOUS: previous } });
  t.after(() => relay.stop());
  const closes = [];
  let connects = 0;
  class Counted extends WebSocket {
    constructor(...args) {
      super(...args);
      connects += 1;
      this.addEventListener("close", ({ code }) => closes.push({ code, at: Date.now() }));
    }
  }
  const ds = await open({ relay: relay.url, id: "d", storage: "memory", WebSocket: Counted, token, ...options });
  t.after(() => ds.close());
  const errors = [];
  ds.on("error", ({ code }) => errors.push(code));
  await ds.ready;
  return { ds, closes, errors, connects: () => connects };
}

test("one connection lives over several tokens, of either secret, and loses nothing", async (t) => {
  let asked = 0;
  const { ds, closes, errors, connects } = await replica(t, async () => jwt(asked++ % 2 ? previous : secret, 2));
  let n = 0;
  const all = [];
  const end = Date.now() + 6_500;
  while (Date.now() < end) {
    all.push(ds.collection("c").set({ id: `${n++}` }).settled);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const outcomes = await Promise.all(all);
  assert.ok(outcomes.every(({ status }) => status === "accepted"));
  assert.equal(ds.seq, n);
  t.diagnostic(`${n} writes over ${asked} tokens of 2 s`);
  assert.ok(asked >= 4 && asked <= 8, `asked ${asked} times`);
  assert.deepEqual([connects(), closes, errors], [1, [], []]);
});

test("who gets no other token is told, ends in time, and goes on when there is one", async (t) => {
  let broken = false;
  let asked = 0;
  let expires;
  const { ds, closes, errors, connects } = await replica(t, () => {
    asked += 1;
    if (broken) throw new Error("nobody is signed in");
    broken = true;
    expires = Date.now() + 2_000;
    return jwt(secret, 2);
  });
  await until(() => errors.length > 0, "the error");
  assert.deepEqual(errors, ["token-failed"]);
  assert.equal(connects(), 1);
  assert.equal(ds.status.connection, "live", "as long as the token that it has");
  await until(() => closes.length > 0, "the end");
  const late = closes[0].at - expires;
  assert.ok(closes[0].code === 4401 && late < 5_000, `${JSON.stringify(closes)}, ${late} ms after`);
  const pending = ds.collection("c").set({ id: "later" });
  broken = false;
  assert.equal((await pending.settled).status, "accepted");
  assert.ok(asked >= 3);
});

test("a token that is a text ends with its connection", async (t) => {
  const { closes, errors } = await replica(t, jwt(secret, 1));
  await until(() => errors.includes("unauthorized"), "the error");
  assert.equal(closes[0].code, 4401);
});

test("a token of somebody else ends the connection, and nobody asks for another until the app does", async (t) => {
  let [sub, asked] = ["ada", 0];
  const token = async () => ((asked += 1), jwt(secret, 2, { sub }));
  const { ds, errors, closes } = await replica(t, token, { user: "ada" });
  sub = "ben";
  await until(() => ds.status.connection === "offline", "the end of the connection");
  const told = asked;
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  assert.deepEqual([errors, asked, closes.length], [["user-mismatch"], told, 1]);
  ds.goOffline();
  ds.goOnline();
  await until(() => asked === told + 1, "another token");
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  assert.equal(asked, told + 1, "nor after a try that ended so");
  sub = "ada";
  ds.goOffline();
  ds.goOnline();
  await until(() => ds.status.connection === "live", "its own token");
});

/** A replica for which 15 s are half a second, with a token function that answers late or never. */
async function impatient(t, token) {
  const { setTimeout: real } = globalThis;
  globalThis.setTimeout = (fn, ms, ...rest) => real(fn, ms === 15_000 ? 500 : ms, ...rest);
  t.after(() => (globalThis.setTimeout = real));
  const relay = await startRelay({ data: tempDir(t), vars: { NEAP_SECRET: secret } });
  t.after(() => relay.stop());
  const ds = await open({ relay: relay.url, id: "d", storage: "memory", token });
  t.after(() => ds.close());
  const errors = [];
  ds.on("error", ({ code, message }) => errors.push(`${code}: ${message}`));
  return { ds, errors };
}

test("a token function that takes its time is told, and waited for", async (t) => {
  let asked = 0;
  let sign;
  const { ds, errors } = await impatient(t, () => ((asked += 1), asked > 1 ? jwt(secret, 60) : new Promise((resolve) => (sign = resolve))));
  await until(() => errors.length > 0, "the error");
  assert.equal(asked, 1);
  await until(() => ds.status.connection === "offline", "offline");
  sign(jwt(secret, 60));
  assert.equal((await ds.collection("c").set({ id: "a" }).settled).status, "accepted");
  assert.deepEqual(errors, ["token-failed: the token function has not answered in time"]);
});

test("a token function that hangs is asked again after a minute", async (t) => {
  let asked = 0;
  const { ds, errors } = await impatient(t, () => (asked++ ? jwt(secret, 60) : new Promise(() => {})));
  await until(() => errors.length > 0, "the error");
  const { now } = Date;
  Date.now = () => now() + 61_000;
  t.after(() => (Date.now = now));
  assert.equal((await ds.collection("c").set({ id: "a" }).settled).status, "accepted");
  assert.deepEqual([asked, errors.length], [2, 1]);
});

test("a token that no header could carry is told as one, not as a network that is away", async (t) => {
  for (const token of ["a b", `${jwt(secret, 60)}\n`, "é", "", 5]) {
    const ds = await open({ relay: "http://127.0.0.1:9", id: "d", storage: "memory", token: async () => token });
    const errors = [];
    ds.on("error", ({ code, message }) => errors.push(`${code}: ${message}`));
    await until(() => errors.length > 0, "the error");
    assert.match(errors[0], /^token-failed: the token is not a JWT/, JSON.stringify(token));
    await ds.close();
  }
});

test("while the relay refuses again and again, it is said once that this connects", async (t) => {
  const relay = await startRelay({ data: tempDir(t), vars: { NEAP_SECRET: secret } });
  t.after(() => relay.stop());
  const ds = await open({ relay: relay.url, id: "d", storage: "memory", token: "not.a.token" });
  t.after(() => ds.close());
  const said = [];
  let connects = 0;
  ds.on("status", ({ connection }) => said.at(-1) !== connection && said.push(connection));
  ds.on("error", () => (connects += 1));
  await until(() => said.includes("offline"), "a refusal");
  const before = said.length;
  // A few more tries.
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  assert.deepEqual([said.slice(before), connects], [[], 1]);
});

test("a full house is told as such", async (t) => {
  const relay = await startRelay({ data: tempDir(t), vars: { NEAP_MAX_SOCKETS: "1" } });
  t.after(() => relay.stop());
  const [one, two] = [await open({ relay: relay.url, id: "d", storage: "memory" }), await open({ relay: relay.url, id: "d", storage: "memory" })];
  t.after(() => Promise.all([one.close(), two.close()]));
  const errors = [];
  for (const ds of [one, two]) ds.on("error", ({ code }) => errors.push(code));
  await until(() => errors.length > 0, "the error");
  assert.deepEqual(errors, ["too-many-sockets"]);
});
