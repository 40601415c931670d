// What an operator hears: a line of JSON for each connect, refusal, reset and error, with nothing in it that
// belongs to a user, and no more of them than somebody can pay for.

import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, test } from "node:test";
import { build as bundle } from "esbuild";
import { at as path } from "../../tools/house.mjs";
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

/** The shipped relay with a data set bound that says what it is given; a real one asks for workerd's experiments. */
async function withAnalytics(t) {
  const [built, dir] = [path("worker", "build"), mkdtempSync(join(tmpdir(), "neap-relay-"))];
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const contents = `
    import * as relay from "./index.js";
    const bound = (env) => ({ ...env, NEAP_ANALYTICS: { writeDataPoint: (point) => console.log(JSON.stringify({ point })) } });
    const binding = (made) => new Proxy(made, { construct: (made, [state, env], self) => Reflect.construct(made, [state, bound(env)], self) });
    export default binding(relay.default);
    export const Datastore = binding(relay.Datastore);`;
  const external = ["cloudflare:workers", "*.wasm"];
  await bundle({ stdin: { contents, resolveDir: built }, outfile: join(dir, "index.js"), bundle: true, format: "esm", external });
  copyFileSync(join(built, "index_bg.wasm"), join(dir, "index_bg.wasm"));
  return dir;
}

test("a data point for each of them, where a data set is bound", { skip }, async (t) => {
  const r = await relay(t, { build: await withAnalytics(t) });
  const points = () => r.lines().filter((line) => line.startsWith('{"point"')).map((line) => JSON.parse(line).point);
  const heard = (event) => until(event, () => points().find(({ blobs }) => blobs[0] === event));
  const a = await r.socket("public-id");
  await a.greet();
  assert.deepEqual((await heard("connect")).doubles, [1, 1, 0, 0, 0, 0, 0, 0, 0]);
  await a.outcome(a.push([set("c", "k")], [{ op: "delete", collection: "c", key: "k" }], [{ op: "patch", collection: "c", key: "k", data: {} }]));
  const refusal = await heard("refusal");
  assert.deepEqual(refusal.blobs, ["refusal", "mutation"]);
  // Count; sockets, members, records, bytes, tombstones; mutations, refusals, wakes.
  assert.deepEqual(refusal.doubles, [1, 1, 0, 0, 0, 1, 2, 1, 0]);
  assert.match(refusal.indexes[0], /^[0-9a-f]{64}$/);
  a.socket.close();
  assert.deepEqual((await heard("leave")).doubles, [1, 0, 0, 0, 0, 1, 2, 1, 0]);
  assert(points().every(({ indexes, blobs, doubles }) => indexes.length === 1 && blobs.length === 2 && doubles.length === 9));
  assert(!r.lines().join().includes("public-id"));
});
