// Who may: tokens, scopes, rotation, on HTTP and on sockets alike.

import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, randomBytes, sign as rsa } from "node:crypto";
import { before, test } from "node:test";
import { assertProblem, Raw, relay, set, sleep, token, until } from "./house.mjs";
import { hello } from "./wire.mjs";

const secret = "s3cret, long enough to be one";
const previous = "the one before";
const now = () => Math.floor(Date.now() / 1000);
const claims = (over = {}) => ({ ds: "*", scope: ["read", "write", "admin"], sub: "ann", exp: now() + 600, ...over });

let r;
before(async (t) => {
  r = await relay(t, { vars: { NEAP_SECRET: secret, NEAP_SECRET_PREVIOUS: previous } });
  await as(claims(), "POST", "", { id: "a", ttl: 600 });
});

const bearer = (token) => ({ Authorization: `Bearer ${token}` });
const as = (claims, method, path, body) =>
  r.call(method, `/v1/datastores${path}`, body, bearer(token(secret, claims)));

test("health needs nothing; everything else needs a token", async () => {
  assert.equal((await r.call("GET", "/v1/health")).status, 200);
  for (const [method, path, body] of [["GET", "/a"], ["POST", "", {}], ["GET", "/a/changes"], ["DELETE", "/a"], ["PUT", "/a/collections/c/records/k", {}]]) {
    const answer = await r.call(method, `/v1/datastores${path}`, body);
    assertProblem(answer, 401, "unauthorized");
    assert.match(answer.headers.get("www-authenticate"), /Bearer/);
  }
});

test("a token counts only when it is whole, signed, fresh and of the one algorithm", async () => {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const good = token(secret, claims());
  const [head, body, signature] = good.split(".");
  const bad = {
    "another secret": token("other", claims()),
    "no exp": token(secret, claims({ exp: undefined })),
    "no ds": token(secret, claims({ ds: undefined })),
    "an exp that is no number": token(secret, claims({ exp: "9999999999" })),
    expired: token(secret, claims({ exp: now() - 1 })),
    "expired now": token(secret, claims({ exp: now() })),
    "not yet": token(secret, claims({ nbf: now() + 60 })),
    "a scope that is no list": token(secret, claims({ scope: "read" })),
    "alg none": token(secret, claims(), { head: { alg: "none" }, sign: () => "" }),
    "alg none, signed": token(secret, claims(), { head: { alg: "none" } }),
    "alg HS512": token(secret, claims(), { head: { alg: "HS512" }, sign: (text) => createHmac("sha512", secret).update(text).digest("base64url") }),
    "alg RS256": token(secret, claims(), { head: { alg: "RS256" }, sign: (text) => rsa("sha256", Buffer.from(text), privateKey).toString("base64url") }),
    "no alg": token(secret, claims(), { head: {} }),
    "an extension": token(secret, claims(), { head: { alg: "HS256", crit: ["b64"] } }),
    "a cut signature": good.slice(0, -2),
    "no signature": `${head}.${body}.`,
    "claims of another": `${head}.${Buffer.from(JSON.stringify(claims({ sub: "eve" }))).toString("base64url")}.${signature}`,
    "two parts": `${head}.${body}`,
    "nothing": "x",
    "a lot": `${"x".repeat(9_000)}.y.z`,
  };
  for (const [what, token] of Object.entries(bad)) {
    const answer = await r.call("GET", "/v1/datastores/a", undefined, bearer(token));
    assert.deepEqual([answer.status, answer.body.code], [401, "unauthorized"], what);
  }
  assert.equal((await r.call("GET", "/v1/datastores/a", undefined, bearer(good))).status, 200);
  assertProblem(await r.call("GET", "/v1/datastores/a", undefined, { Authorization: `Basic ${good}` }), 401, "unauthorized");
  assertProblem(await r.call("GET", `/v1/datastores/a?token=${good}`), 401, "unauthorized");
});

test("the secret before counts too", async () => {
  const answer = await r.call("GET", "/v1/datastores/a", undefined, bearer(token(previous, claims())));
  assert.equal(answer.status, 200);
});

test("a rotation of secrets sends nobody away and loses nothing", async (t) => {
  const [old, fresh] = ["the secret of yesterday", "the secret of tomorrow"];
  const own = await relay(t, { vars: { NEAP_SECRET: old } });
  const by = (secret, n) => ({ protocols: ["neap.v1", `neap.token.${token(secret, claims({ sub: `user-${n}` }))}`] });
  const crowd = Array.from({ length: 10 }, () => ({ id: randomBytes(16), generation: 0, turn: 0 }));
  /** All of them come with a token under this secret, and each writes. */
  const write = async (secret) => {
    const raws = await Promise.all(crowd.map(async (one, n) => {
      const raw = await Raw.open(own.url(), "a", by(secret, n));
      await raw.greet({ id: one.id, generation: (one.generation += 1) });
      raw.turn = one.turn;
      assert.equal(typeof (await raw.outcome((one.turn = raw.push([set("c", `${n}-${raw.turn}`)])))).seq, "number");
      return raw;
    }));
    return raws;
  };
  await write(old);
  await own.restart({ NEAP_SECRET: fresh, NEAP_SECRET_PREVIOUS: old });
  const live = await write(old);
  // Those who are connected go on, and change over without a gap.
  for (const [n, raw] of live.entries()) {
    raw.socket.send(`token ${token(fresh, claims({ sub: `user-${n}` }))}`);
    await raw.outcome((crowd[n].turn = raw.push([set("c", `${n}-${raw.turn}`)])));
    assert.equal(raw.closed, null);
  }
  await own.restart({ NEAP_SECRET: fresh });
  await write(fresh);
  const late = await Raw.open(own.url(), "a", by(old, 0));
  assert.deepEqual(await late.whenClosed(), { code: 4401, reason: "unauthorized" });
  const { seq, records } = (await own.call("GET", "/v1/datastores/a", undefined, bearer(token(fresh, claims())))).body;
  assert.deepEqual([seq, records], [40, 40], "ten people, four times each");
});

test("a token for another datastore sees as much as there is of one that is not there", async () => {
  const other = claims({ ds: "b" });
  for (const [method, path, body] of [["GET", "/a"], ["DELETE", "/a"], ["PUT", "/a/collections/c/records/k", {}], ["POST", "", { id: "a" }], ["POST", "", {}]]) {
    assertProblem(await as(other, method, path, body), 404, "not-found");
  }
  const absent = await as(claims(), "GET", "/absent");
  assert.deepEqual((await as(other, "GET", "/a")).body, absent.body, "in the same words");
  assert.equal((await as(claims({ ds: "a" }), "GET", "/a")).status, 200);
});

test("scopes reach as far as they say", async () => {
  const record = "/a/collections/c/records/k";
  const requests = [
    ["read", "GET", "/a"],
    ["read", "GET", "/a/changes"],
    ["read", "GET", "/a/collections/c/records"],
    ["write", "PUT", record, {}],
    ["write", "PATCH", record, {}],
    ["write", "POST", "/a/mutations", { ops: [] }],
    ["write", "POST", "", { id: "a" }],
    ["write", "POST", "", { id: `temp-${randomBytes(4).toString("hex")}` }],
    ["write", "DELETE", record],
    ["admin", "POST", "", { id: `perm-${randomBytes(4).toString("hex")}`, kind: "permanent" }],
    ["admin", "PATCH", "/a", { ttl: 600 }],
  ];
  const reaches = { read: ["read"], write: ["read", "write"], admin: ["read", "write", "admin"] };
  for (const [need, ...request] of requests) {
    for (const scope of [[], ["read"], ["write"], ["read", "write"], ["admin"], ["other"]]) {
      const enough = scope.some((one) => reaches[one]?.includes(need));
      const answer = await as(claims({ scope }), ...request);
      if (enough) assert(answer.status < 300 || answer.body.code === "not-found", `${scope}: ${request} ${answer.text}`);
      else assertProblem(answer, 403, "forbidden");
    }
  }
});

test("an idempotency key belongs to its subject", async () => {
  const once = (sub) =>
    r.call("POST", "/v1/datastores/a/mutations", { ops: [set("c", sub)] }, { ...bearer(token(secret, claims({ sub }))), "Idempotency-Key": "same" });
  assert.equal((await once("ann")).status, 200);
  assert.equal((await once("bob")).status, 200);
});

const open = (id, token) => Raw.open(r.url(), id, { protocols: token ? ["neap.v1", `neap.token.${token}`] : ["neap.v1"] });

test("a socket brings its token as a subprotocol, and hears why it is refused", async () => {
  const fine = await open("a", token(secret, claims()));
  assert.equal(fine.socket.protocol, "neap.v1");
  await fine.greet();
  const refusals = [
    [undefined, { code: 4401, reason: "unauthorized" }],
    [token("other", claims()), { code: 4401, reason: "unauthorized" }],
    [token(secret, claims({ exp: now() - 1 })), { code: 4401, reason: "unauthorized" }],
    [token(secret, claims({ ds: "b" })), { code: 4404, reason: "not-found" }],
    [token(secret, claims({ scope: [] })), { code: 4403, reason: "forbidden" }],
  ];
  for (const [token, expected] of refusals) {
    const raw = await open("a", token);
    assert.deepEqual(await raw.whenClosed(), expected);
  }
});

test("a reader's push is refused, a reader creates nothing, a writer nothing permanent", async () => {
  const reader = await open("a", token(secret, claims({ scope: ["read"] })));
  await reader.greet();
  const outcome = await reader.outcome(reader.push([set("c", "k")]));
  assert.equal(outcome.refused, "forbidden");
  const creator = await open("new-1", token(secret, claims({ scope: ["read"] })));
  creator.send(hello({ authors: [{ id: randomBytes(16) }] }));
  assert.deepEqual(await creator.whenClosed(), { code: 4403, reason: "forbidden" });
  const writer = await open("new-2", token(secret, claims({ scope: ["write"] })));
  writer.send(hello({ options: { kind: "permanent" }, authors: [{ id: randomBytes(16) }] }));
  assert.deepEqual(await writer.whenClosed(), { code: 4403, reason: "forbidden" });
  const other = await open("new-2", token(secret, claims({ scope: ["write"] })));
  await other.greet();
});

test("a replica stays with the subject that pushed first", async () => {
  const id = randomBytes(16);
  const ann = await open("a", token(secret, claims()));
  await ann.greet({ id });
  await ann.outcome(ann.push([set("c", "ann")]));
  const eve = await open("a", token(secret, claims({ sub: "eve" })));
  await eve.greet({ id, generation: 9 });
  eve.turn = 1;
  eve.push([set("c", "eve")]);
  assert.equal((await eve.whenClosed()).code, 4403);
});

test("a socket outlives its token by no more than five seconds, and hears nothing after it", async () => {
  const ends = now() + 2;
  const raw = await open("a", token(secret, claims({ exp: ends })));
  const silent = await open("never-opened", token(secret, claims({ exp: ends })));
  await raw.greet();
  const closed = await raw.whenClosed();
  const late = Date.now() - ends * 1000;
  assert.deepEqual(closed, { code: 4401, reason: "unauthorized" });
  assert(late >= 0 && late < 5_000, `${late} ms after`);
  await until("the end of who says nothing", () => silent.socket.readyState > WebSocket.OPEN, 5_000);

  const [quiet, busy] = [await open("a", token(secret, claims({ exp: now() + 2 }))), await open("a", token(secret, claims()))];
  await quiet.greet();
  await busy.greet();
  await sleep(2_100);
  await busy.outcome(busy.push([set("c", "after")]));
  await quiet.whenClosed();
  assert(!quiet.frames.some(({ kind, rows }) => kind === "delta" && rows.some(({ key }) => key === "after")));
});

test("a socket lives on with another token of its subject, under either secret, and by that token's scopes", async () => {
  const ends = now() + 2;
  const raw = await open("a", token(secret, claims({ exp: ends })));
  await raw.greet();
  const renew = (...by) => raw.socket.send(`token ${token(...by)}`);
  renew(previous, claims({ exp: ends + 2, scope: ["read"] }));
  assert.equal((await raw.outcome(raw.push([set("c", "renewed")]))).refused, "forbidden");
  renew(secret, claims({ scope: ["write"] }));
  await sleep(ends * 1000 + 2_000 - Date.now());
  assert((await raw.outcome(raw.push([set("c", "renewed")]))).seq > 0);
  renew(secret, claims({ exp: now() + 1 }));
  assert.deepEqual(await raw.whenClosed(), { code: 4401, reason: "unauthorized" }, "it may also be a shorter one");
});

test("what is no token for this socket ends it", async () => {
  const bad = [
    [token("other", claims()), { code: 4401, reason: "unauthorized" }],
    [token(secret, claims({ exp: now() - 1 })), { code: 4401, reason: "unauthorized" }],
    [token(secret, claims({ sub: "eve" })), { code: 4401, reason: "unauthorized" }],
    [token(secret, claims({ ds: "b" })), { code: 4404, reason: "not-found" }],
    [token(secret, claims({ scope: [] })), { code: 4403, reason: "forbidden" }],
    ["", { code: 4401, reason: "unauthorized" }],
  ];
  for (const [text, expected] of bad) {
    const raw = await open("a", token(secret, claims()));
    await raw.greet();
    raw.socket.send(`token ${text}`);
    assert.deepEqual(await raw.whenClosed(), expected);
  }
});

test("tokens come at the rate of frames that mutate nothing, and no faster", async () => {
  const [flood, other] = [await open("a", token(secret, claims())), await open("a", token(secret, claims()))];
  await flood.greet();
  await other.greet();
  const again = `token ${token(secret, claims({ exp: now() + 500 }))}`;
  const started = Date.now();
  for (let sent = 0; sent < 200_000 && !flood.closed; sent += 1) {
    flood.socket.send(again);
    if (sent % 1_000 === 999) await until("they are on their way", () => flood.closed || flood.socket.bufferedAmount < 1 << 20);
  }
  assert.deepEqual(await until("its end", () => flood.closed), { code: 4429, reason: "rate-limited" });
  assert(Date.now() - started < 30_000);
  other.socket.send(again);
  assert.equal(typeof (await other.outcome(other.push([set("c", "k")]))).seq, "number", "who brings one is heard");
});

test("origins hold for the upgrade too", async (t) => {
  const own = await relay(t, { vars: { NEAP_ORIGINS: "https://one.example" } });
  const upgrade = (origin) =>
    new Promise((done) => {
      const socket = new WebSocket(`${own.url().replace("http", "ws")}/v1/datastores/a/socket`, { protocols: ["neap.v1"], headers: { Origin: origin } });
      socket.onopen = () => setTimeout(() => done(null), 200);
      socket.onclose = ({ code, reason }) => done({ code, reason });
    });
  assert.deepEqual(await upgrade("https://other.example"), { code: 4403, reason: "forbidden" });
  assert.equal(await upgrade("https://one.example"), null);
});

test("a secret that is set to nothing lets nobody in", async (t) => {
  const own = await relay(t, { vars: { NEAP_SECRET: "" } });
  assertProblem(await own.call("GET", "/v1/datastores/a"), 401, "unauthorized");
  assertProblem(await own.call("GET", "/v1/datastores/a", undefined, bearer(token("", claims()))), 401, "unauthorized");
});
