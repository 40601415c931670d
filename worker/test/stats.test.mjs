// What the relay tells about itself: its counters, its interface.

import assert from "node:assert/strict";
import { test } from "node:test";
import { assertProblem, relay, set, token, until } from "./house.mjs";

const path = (id, rest = "") => `/v1/datastores/${id}${rest}`;

test("the counters say what there is and what has happened", async (t) => {
  const r = await relay(t);
  const stats = async () => (await r.call("GET", path("a", "/stats"))).body;
  assertProblem(await r.call("GET", path("a", "/stats")), 404, "not-found");
  await r.call("POST", "/v1/datastores", { id: "a", ttl: 600 });
  const nothing = { records: 0, bytes: 0, tombstones: 0, sockets: 0, members: 0, mutations: 0, refusals: 0, wakes: 0 };
  assert.deepEqual(await stats(), nothing);

  const mutate = (ops) => r.call("POST", path("a", "/mutations"), { ops });
  await mutate([set("c", "k"), set("c", "l")]);
  await mutate([{ op: "delete", collection: "c", key: "l" }]);
  assert.equal((await mutate([{ op: "patch", collection: "c", key: "none", data: {} }])).status, 409);
  assert.deepEqual(await stats(), { ...nothing, records: 1, bytes: '{"id":"k"}ck'.length, tombstones: 1, mutations: 2, refusals: 1 });
  await r.call("POST", path("a", "/pools/p/items"), { items: ["x", "y"] });
  assert.equal((await stats()).mutations, 3, "an addition is one, over HTTP too");

  // One that has a pool open, one that has only said Hello, one that has not even done that.
  const [member, reader] = [await r.socket("a"), await r.socket("a"), await r.socket("a")];
  await member.greet();
  await reader.greet();
  // Up, Pool, "~p", Open, neither primary nor retain, after 0.
  member.send(Uint8Array.of(3, 2, 0x7e, 0x70, 0, 0, 0, 0));
  const met = await until("the member", async () => {
    const now = await stats();
    return now.members > 0 && now;
  });
  assert.deepEqual([met.sockets, met.members], [3, 1]);
  await member.outcome(member.push([set("c", "m")], [{ op: "patch", collection: "c", key: "none", data: {} }]));
  member.socket.close();
  const left = await until("the close", async () => {
    const now = await stats();
    return now.sockets === 2 && now;
  });
  assert.deepEqual([left.mutations, left.refusals, left.members], [4, 2, 0]);

  await r.restart();
  const woken = await stats();
  assert.deepEqual([woken.records, woken.mutations, woken.wakes], [2, 4, 1]);
});

test("the counters need a token that may read", async (t) => {
  const r = await relay(t, { vars: { NEAP_SECRET: "s" } });
  const as = (scope, method, path, body) => {
    const claims = { ds: "a", scope: [scope], sub: "ann", exp: Math.floor(Date.now() / 1000) + 600 };
    return r.call(method, path, body, { Authorization: `Bearer ${token("s", claims)}` });
  };
  assertProblem(await r.call("GET", path("a", "/stats")), 401, "unauthorized");
  assert.equal((await as("write", "POST", "/v1/datastores", { id: "a" })).status, 201);
  assert.equal((await as("read", "GET", path("a", "/stats"))).status, 200);
  assertProblem(await as("none", "GET", path("a", "/stats")), 403, "forbidden");
  // The interface itself is open.
  const interfaces = await r.call("GET", "/v1/openapi.json");
  assert.equal(interfaces.status, 200);
  assert.equal(interfaces.body.openapi, "3.1.0");
  assert.equal(interfaces.headers.get("access-control-allow-origin"), "*");
});
