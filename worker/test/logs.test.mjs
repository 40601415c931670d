// What an operator hears: a line of JSON for each connect, refusal, reset and error, with nothing in it that
// belongs to a user, and no more of them than somebody can pay for.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { contractBuild, native, relay, set, token, until } from "./house.mjs";

const skip = native && "the lines are workerd's relay's";
let build;
before(async () => {
  build = skip ? undefined : await contractBuild();
});

test("a line of JSON for each of them, and no value, key, token or public id in any", { skip }, async (t) => {
  const secret = "the-secret-of-this-test";
  const r = await relay(t, { build, vars: { NEAP_SECRET: secret } });
  const lines = () => r.lines().filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
  const heard = (event, code) => until(`${event} ${code}`, () => lines().find((line) => line.event === event && line.code.includes(code)));
  const jwt = token(secret, { ds: "public-id", scope: ["read", "write", "admin"], sub: "subject", exp: Math.floor(Date.now() / 1000) + 600 });
  const as = { Authorization: `Bearer ${jwt}` };
  const at = "/v1/datastores/public-id";

  const a = await r.socket("public-id", { protocols: ["neap.v1", `neap.token.${jwt}`] });
  await a.greet();
  await a.outcome(a.push([set("collection-name", "key-of-a-record", { text: "value-of-a-record" })]));
  const connect = await heard("connect", "");
  assert.match(connect.object, /^[0-9a-f]{64}$/);
  assert.equal(connect.sockets, 1);

  await a.outcome(a.push([{ op: "patch", collection: "collection-name", key: "another-key", data: {} }]));
  assert.equal((await heard("refusal", "mutation")).count, 1);
  assert.equal((await r.call("GET", at, undefined, { Authorization: "Bearer not.a.token" })).status, 401);
  await heard("refusal", "unauthorized");
  const refused = await r.socket("public-id", { protocols: ["neap.v1", "neap.token.not.a.token"] });
  assert.equal((await refused.whenClosed()).code, 4401);

  await r.call("POST", `${at}/contract`, "sql CREATE TRIGGER no BEFORE INSERT ON records BEGIN SELECT RAISE(ABORT, 'refused'); END", as);
  assert.equal((await r.call("PUT", `${at}/collections/collection-name/records/key-of-a-record`, { text: "value-of-a-record" }, as)).status, 500);
  await heard("reset", "refused");

  const all = r.lines().join("\n");
  for (const own of [secret, jwt, jwt.split(".")[2], "public-id", "subject", "value-of-a-record", "key-of-a-record", "another-key", "collection-name"]) {
    assert(!all.includes(own), `${own} is in the log:\n${all}`);
  }
});

test("a flood is counted and not told line by line", { skip }, async (t) => {
  const r = await relay(t, { build, vars: { NEAP_SECRET: "s" } });
  for (let i = 0; i < 300; i += 1) assert.equal((await r.call("GET", "/v1/datastores/a")).status, 401);
  const lines = r.lines().filter((line) => line.includes('"refusal"'));
  assert(lines.length > 0 && lines.length <= 200, `${lines.length} lines`);
});
