// Merge pools in Node, alone and against the real relay.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { startRelay } from "../../../tools/relay.mjs";
import { NeapError, open } from "../dist/index.js";
import { codeOf, random, tempDir, until } from "./house.mjs";

async function relayOf(t, vars = {}) {
  const relay = await startRelay({ data: tempDir(t), vars });
  t.after(() => relay.stop());
  return relay;
}

async function member(t, relay, options = {}) {
  const ds = await open({ relay: relay?.url ?? null, storage: "memory", ...options });
  ds.trouble = [];
  ds.on("error", (error) => ds.trouble.push(error));
  t.after(() => ds.close());
  return ds;
}

const turn = () => new Promise((resolve) => setTimeout(resolve));

test("items show at once, before any relay was met: any JSON, each once, frozen and in one order", async (t) => {
  const ds = await member(t);
  const pool = ds.pool("things");
  assert.equal(ds.pool("things"), pool);
  assert.equal(pool.name, "things");
  assert.deepEqual([pool.items(), pool.size, pool.has(null), pool.converged], [[], 0, false, false]);
  const all = [null, 0, -0, "", "ä", true, false, [], [1, [2]], {}, { b: 1, a: { d: 1e21, c: 0.1 } }];
  const mutation = pool.add(all);
  assert.equal(typeof mutation.id, "string");
  await mutation.durable;
  pool.add({ a: { c: 0.1, d: 1e21 }, b: 1 });
  pool.add(null);
  assert.equal(pool.size, 10, "-0 is 0, and the order of members says nothing");
  assert.equal(ds.status.pending, 1, "what is pending already is not added again");
  for (const item of all) assert.ok(pool.has(item), JSON.stringify(item));
  assert.ok(pool.items().includes(null));
  assert.ok(!pool.has(1) && !pool.has("null") && !pool.has(undefined) && !pool.has(() => {}));
  const items = pool.items();
  assert.equal(pool.items(), items);
  assert.ok(Object.isFrozen(items) && items.every((item) => Object.isFrozen(item)));
  pool.add([]);
  assert.equal(pool.items(), items);
  pool.add("one more");
  assert.notEqual(pool.items(), items);
  const kept = pool.items().filter((item) => typeof item === "object" && item !== null);
  assert.ok(kept.every((item) => items.includes(item)), "the items themselves stay the same objects");
});

test("an item that is known settles at once; one that is pending has the fate of the first", async (t) => {
  const relay = await relayOf(t);
  const ds = await member(t, relay);
  const pool = ds.pool("p");
  const first = pool.add(["a", "b"]);
  assert.equal(pool.add("a"), first);
  assert.deepEqual(await first.settled, { status: "accepted", seq: 2 });
  const again = pool.add(["b", "a"]);
  assert.equal(ds.status.pending, 0);
  assert.deepEqual(await again.settled, { status: "accepted", seq: null });
  await again.durable;
  assert.notEqual(again.id, first.id);
  assert.equal(ds.seq, 0, "additions take no seq of the datastore");
});

test("by the primary field the last arrival counts, whoever it is of", async (t) => {
  const relay = await relayOf(t);
  const ada = await member(t, relay);
  const ben = await member(t, relay, { id: ada.id });
  const [one, two] = [ada, ben].map((ds) => ds.pool("p", { primary: "id" }));
  await one.add([{ id: "x", n: 1 }, { id: "", n: 1 }, { id: 7 }, "x"]).settled;
  await until(() => two.size === 4, "four items");
  await two.add({ id: "x", n: 2 }).settled;
  await until(() => one.items().some((item) => item.n === 2), "the later one");
  assert.equal(one.size, 4);
  assert.ok(one.has({ id: "x" }) && one.has({ id: "x", n: "whatever" }) && one.has({ n: 1, id: "" }));
  assert.ok(!one.has({ id: "" }) && !one.has({ id: "7" }));
  assert.deepEqual(one.items(), two.items());
});

test("bad input throws at the call and changes nothing", async (t) => {
  const ds = await member(t);
  for (const name of ["", "a b", "~p", "x".repeat(65), 7, undefined]) assert.equal(codeOf(() => ds.pool(name)), "invalid-name");
  for (const options of [null, [], "id", { primary: "" }, { primary: 7 }, { primary: "x".repeat(65) }, { retain: "long" }, { ttl: 1 }])
    assert.equal(codeOf(() => ds.pool("p", options)), "invalid-options", JSON.stringify(options));
  const pool = ds.pool("p", { primary: "id" });
  assert.equal(ds.pool("p"), pool);
  assert.equal(ds.pool("p", { primary: "id", retain: "ttl" }), pool, "what is the usual may be said");
  for (const options of [{ primary: "k" }, { retain: "converged" }]) assert.equal(codeOf(() => ds.pool("p", options)), "options-mismatch");
  const cycle = {};
  cycle.self = cycle;
  for (const item of [undefined, () => {}, 1n, NaN, "\ud800", new Map(), cycle, { a: [undefined] }]) {
    assert.equal(codeOf(() => pool.add(item)), "invalid-data");
    assert.equal(codeOf(() => pool.add(["good", item])), "invalid-data");
  }
  assert.equal(codeOf(() => pool.add([, 1])), "invalid-data");
  assert.equal(codeOf(() => pool.add("x".repeat(256 * 1024))), "too-large");
  assert.equal(codeOf(() => pool.add(Array.from({ length: 10_001 }, (_, n) => n))), "too-large");
  assert.equal(codeOf(() => pool.add(Array.from({ length: 4 }, (_, n) => `${n}`.repeat(250_000)))), "too-large");
  assert.equal(codeOf(() => pool.subscribe()), "invalid-options");
  assert.equal(codeOf(() => ds.transact(() => void pool.add(1))), "invalid-options");
  assert.deepEqual([pool.size, ds.status.pending], [0, 0]);
  pool.add(Array.from({ length: 10_000 }, (_, n) => n));
  assert.deepEqual([pool.size, ds.status.pending], [10_000, 1]);
  await ds.close();
  assert.equal(codeOf(() => pool.add(1)), "closed");
  assert.equal(pool.size, 10_000);
  await assert.rejects(pool.whenConverged(), { code: "closed" });
});

test("sixty-four pools can be open at once", async (t) => {
  const ds = await member(t);
  for (let n = 0; n < 64; n += 1) ds.pool(`p${n}`);
  assert.equal(codeOf(() => ds.pool("one more")), "invalid-name");
  assert.equal(codeOf(() => ds.pool("another")), "invalid-options");
  assert.equal(ds.pool("p63").name, "p63");
});

test("two members converge, hear of it once a batch, and know of what; alone there is nobody to agree with", async (t) => {
  const relay = await relayOf(t);
  const ada = await member(t, relay);
  const one = ada.pool("p");
  const waiting = one.whenConverged();
  await one.add(["a", "b", "c"]).settled;
  assert.equal(one.converged, false);
  const ben = await member(t, relay, { id: ada.id });
  const two = ben.pool("p");
  const [here, there] = await Promise.all([waiting, two.whenConverged()]);
  assert.deepEqual(here, there);
  assert.equal(here.seq, 3);
  assert.match(here.digest, /^[0-9a-f]{32}$/);
  assert.deepEqual(two.items(), one.items());
  await turn();
  const heard = [];
  const end = two.subscribe(() => heard.push([two.size, two.converged]));
  const more = one.add(Array.from({ length: 500 }, (_, n) => ({ n })));
  assert.equal(one.converged, false, "what is pending is not agreed on");
  await more.settled;
  await Promise.all([one, two].map((pool) => pool.whenConverged()));
  await turn();
  assert.deepEqual(heard.at(-1), [503, true]);
  assert.ok(heard.length <= 2, `one batch and the news that it converged: ${heard}`);
  const alone = [];
  one.subscribe(() => alone.push(one.converged));
  ben.goOffline();
  assert.equal(two.converged, false);
  await turn();
  assert.deepEqual(heard.at(-1), [503, false]);
  await until(() => alone.length > 0, "who is left alone hears that nobody agrees any more");
  assert.deepEqual(alone, [false]);
  end();
  two.add("offline");
  ben.goOnline();
  await ben.settled();
  assert.deepEqual(await one.whenConverged(), await two.whenConverged());
  assert.ok(one.has("offline"));
  assert.ok(heard.at(-1)[0] === 503, "who has ended hears nothing");
  const never = (await member(t, relay)).pool("p").whenConverged();
  never.catch(() => {});
  assert.deepEqual([...ada.trouble, ...ben.trouble], []);
});

test("retain converged: the relay lets go, the members keep, late repeats are dropped", async (t) => {
  const relay = await relayOf(t);
  const options = { retain: "converged" };
  const ada = await member(t, relay);
  const ben = await member(t, relay, { id: ada.id });
  const [one, two] = [ada, ben].map((ds) => ds.pool("p", options));
  await one.add(["a", "b"]).settled;
  assert.deepEqual(await one.whenConverged(), await two.whenConverged());
  const eve = await member(t, relay, { id: ada.id });
  const late = eve.pool("p");
  await late.add(["b", "c"]).settled;
  await until(() => one.size === 3 && two.size === 3, "what is new");
  await Promise.all([one, two, late].map((pool) => pool.whenConverged()));
  assert.deepEqual(one.items(), two.items());
  assert.deepEqual(new Set(late.items()), new Set(["b", "c"]), "nobody is told of what was let go");
  const read = await (await fetch(`${relay.url}/v1/datastores/${ada.id}/pools/p/items`)).json();
  assert.deepEqual([read.items, read.seq], [[], 3]);
});

test("another choice than the first opener's: options-mismatch, refused with its items, and all else goes on", async (t) => {
  const relay = await relayOf(t);
  const ada = await member(t, relay);
  await ada.pool("p", { primary: "id" }).add({ id: "a" }).settled;
  const ben = await member(t, relay, { id: ada.id });
  const refused = [];
  ben.on("refused", (detail) => refused.push(detail));
  const wrong = ben.pool("p", { primary: "k" });
  const item = { id: "b", k: "b" };
  const mutation = wrong.add([item, null]);
  assert.equal(wrong.size, 2);
  const outcome = await mutation.settled;
  assert.deepEqual([outcome.status, outcome.code], ["refused", "options-mismatch"]);
  await until(() => refused.length === 1 && ben.trouble.length === 1, "both events");
  const [{ id, ops, code }] = refused;
  const [one, other] = ops.map(({ key, ...rest }) => [typeof key, rest]);
  assert.deepEqual(one, ["string", { op: "add", collection: "p", data: item }]);
  assert.deepEqual(other, ["string", { op: "add", collection: "p", data: null }]);
  assert.deepEqual([id, code], [mutation.id, "options-mismatch"]);
  assert.ok(ben.trouble[0] instanceof NeapError);
  assert.equal(ben.trouble[0].code, "options-mismatch");
  assert.match(ben.trouble[0].message, /"p"/);
  assert.equal(wrong.size, 0);
  await ben.pool("other").add(1).settled;
  await ben.collection("tasks").set({ id: "a" }).settled;
  ben.goOffline();
  ben.goOnline();
  await until(() => ben.status.connection === "live", "live again");
  await ben.pool("other").add(2).settled;
  assert.equal(ben.trouble.length, 1, "it is told once");
});

test("a reader may read a pool; what it adds is refused", async (t) => {
  const relay = await relayOf(t, { NEAP_SECRET: "secret" });
  const token = (sub, scope) => {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const body = `${part({ alg: "HS256" })}.${part({ ds: "board", scope, sub, exp: Math.floor(Date.now() / 1000) + 60 })}`;
    return `${body}.${createHmac("sha256", "secret").update(body).digest("base64url")}`;
  };
  const ada = await member(t, relay, { id: "board", token: token("ada", ["read", "write"]) });
  await ada.pool("p", { primary: "id" }).add({ id: "a" }).settled;
  const rita = await member(t, relay, { id: "board", token: token("rita", ["read"]) });
  const pool = rita.pool("p");
  await until(() => pool.size === 1, "the item");
  const outcome = await pool.add({ id: "b" }).settled;
  assert.deepEqual([outcome.status, outcome.code], ["refused", "forbidden"]);
  assert.equal(pool.size, 1);
});

test("an id that lives again takes the additions that were pending", async (t) => {
  const relay = await relayOf(t);
  const ada = await member(t, relay, { id: "again" });
  const pool = ada.pool("p");
  await pool.add("old").settled;
  ada.goOffline();
  const kept = pool.add("kept");
  await fetch(`${relay.url}/v1/datastores/again`, { method: "DELETE" });
  const ben = await member(t, relay, { id: "again" });
  await ben.pool("p").add("new").settled;
  ada.goOnline();
  assert.equal((await kept.settled).status, "accepted");
  await Promise.all([pool.whenConverged(), ben.pool("p").whenConverged()]);
  assert.deepEqual(new Set(pool.items()), new Set(["kept", "new"]));
  assert.deepEqual(pool.items(), ben.pool("p").items());
});
