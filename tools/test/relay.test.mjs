// The local relay as a user starts it: flags, the ready line, data over a restart, and every way to end it.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";
import { at } from "../house.mjs";
import { startRelay } from "../relay.mjs";

const temp = mkdtempSync(join(tmpdir(), "neap-test-"));
after(() => rmSync(temp, { recursive: true, force: true }));

let dirs = 0;
const freshData = () => join(temp, `data-${(dirs += 1)}`);

// A relay in this process, ended with its test however that ends.
async function relayFor(t, options = {}) {
  const relay = await startRelay({ data: freshData(), ...options });
  t.after(relay.stop);
  return relay;
}

// The test itself runs under npm, whose death a relay watches for; a relay started here has us as its parent.
function cli(t, ...args) {
  const child = spawn(process.execPath, [at("tools", "relay.mjs"), ...args], { stdio: ["ignore", "pipe", "pipe"] });
  t.after(() => child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdout });
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (chunk) => (errors += chunk));
  const ended = once(child, "close").then(([code, signal]) => ({ code, signal, errors }));
  return { child, ended, ready: () => once(lines, "line").then(([line]) => readyLine.exec(line)[1]) };
}

const readyLine = /^neap relay ready on (http:\/\/127\.0\.0\.1:\d+)$/;

const answers = (url) => fetch(`${url}/v1/health`).then((a) => a.ok, () => false);

async function gone(url) {
  for (let i = 0; i < 200; i += 1) {
    if (!(await answers(url))) return true;
    await new Promise((done) => setTimeout(done, 20));
  }
  return false;
}

for (const [what, args] of Object.entries({
  "no flags": [],
  "no data": ["--port", "1234"],
  "no port": ["--data", "x"],
  "a port that is no number": ["--port", "12x", "--data", "x"],
  "a port out of range": ["--port", "65536", "--data", "x"],
  "a flag without its value": ["--data", "x", "--port"],
  "an unknown flag": ["--port", "1", "--data", "x", "--bogus"],
  "a setting without a value": ["--port", "1", "--data", "x", "--var", "NEAP_SECRET"],
})) {
  test(`${what}: one line, exit 2`, async (t) => {
    const { code, errors } = await cli(t, ...args).ended;
    assert.equal(code, 2);
    assert.match(errors, /^neap relay: [^\n]+\n$/);
  });
}

test("prints one ready line, keeps data over a restart, ends on SIGTERM", async (t) => {
  const data = freshData();
  const made = [];
  let port = "0";
  for (let life = 0; life < 2; life += 1) {
    const relay = cli(t, "--port", port, "--data", data);
    const url = await relay.ready();
    port = new URL(url).port;
    const options = { method: "POST", body: JSON.stringify({ id: "kept" }), headers: { "Content-Type": "application/json" } };
    const answer = await fetch(`${url}/v1/datastores`, options);
    made.push([answer.status, (await answer.json()).epoch]);
    relay.child.kill("SIGTERM");
    assert.equal((await relay.ended).code, 0);
    assert.ok(await gone(url));
  }
  assert.equal(made[0][0], 201);
  assert.deepEqual(made[1], [200, made[0][1]]);
});

test("a port in use is told in a line", async (t) => {
  const first = await relayFor(t);
  const port = new URL(first.url).port;
  const { code, errors } = await cli(t, "--port", port, "--data", freshData()).ended;
  assert.equal(code, 1);
  assert.equal(errors, `neap relay: port ${port} is in use\n`);
});

test("data that another relay has, or that cannot be kept, is told in a line; who was killed holds nothing", async (t) => {
  const data = freshData();
  const first = cli(t, "--port", "0", "--data", data);
  await first.ready();
  for (const same of [data, `${data}/.`]) {
    const { code, errors } = await cli(t, "--port", "0", "--data", same).ended;
    assert.deepEqual([code, errors], [1, `neap relay: ${same} is in use by another relay\n`]);
  }
  first.child.kill("SIGKILL");
  await first.ended;
  const next = cli(t, "--port", "0", "--data", data);
  assert(await next.ready());
  const { code, errors } = await cli(t, "--port", "0", "--data", "/dev/null/x").ended;
  assert.equal(code, 1);
  assert.match(errors, /^neap relay: cannot keep data in \/dev\/null\/x: [^\n]+\n$/);
});

test("a setting that makes no sense is told, once, and its default holds", async (t) => {
  const relay = cli(t, "--port", "0", "--data", freshData(), "--var", "NEAP_MAX_TTL=-3");
  const url = await relay.ready();
  for (let n = 0; n < 3; n += 1) assert.ok(await answers(url));
  relay.child.kill("SIGTERM");
  const { errors } = await relay.ended;
  assert.equal(errors, "neap relay: NEAP_MAX_TTL is not a whole number above zero; 2592000 holds\n");
});

test("workerd does not outlive a killed runner", async (t) => {
  const relay = cli(t, "--port", "0", "--data", freshData());
  const url = await relay.ready();
  relay.child.kill("SIGKILL");
  assert.ok(await gone(url));
});

test("the runner does not outlive a killed workerd, and says so", async (t) => {
  const relay = cli(t, "--port", "0", "--data", freshData());
  await relay.ready();
  process.kill(childNamed("workerd", relay.child.pid), "SIGKILL");
  const { code, errors } = await relay.ended;
  assert.equal(code, 1);
  assert.match(errors, /^neap relay: workerd ended \(SIGKILL\)/);
});

function childNamed(name, parent) {
  const lines = execFileSync("ps", ["-A", "-o", "pid=,ppid=,args="], { encoding: "utf8" }).split("\n");
  const rows = lines.map((line) => /^\s*(\d+)\s+(\d+)\s+(\S+)/.exec(line)).filter(Boolean);
  return Number(rows.find(([, , ppid, program]) => Number(ppid) === parent && program.endsWith(name))[1]);
}

test("settings reach the relay whatever is in them", async (t) => {
  const relay = await relayFor(t, { vars: { NEAP_SECRET: 'quote " backslash \\ ü' } });
  const answer = await fetch(`${relay.url}/v1/datastores/any`);
  assert.equal(answer.status, 401);
});

test("a socket passes through to the relay, and its close back", { timeout: 10_000 }, async (t) => {
  const relay = await relayFor(t, { vars: { NEAP_SECRET: "no token will do" } });
  const socket = new WebSocket(`${relay.url.replace("http", "ws")}/v1/datastores/any/socket`, "neap.v1");
  await once(socket, "open");
  assert.equal(socket.protocol, "neap.v1");
  const [{ code }] = await once(socket, "close");
  assert.equal(code, 4401);
});

test("the demo's files: types, caching, directories, nothing outside", async (t) => {
  const assets = mkdtempSync(join(temp, "assets-"));
  writeFileSync(join(assets, "index.html"), "the page");
  writeFileSync(join(assets, "app.webmanifest"), "{}");
  const relay = await relayFor(t, { assets });
  const page = await fetch(relay.url);
  assert.equal(page.headers.get("content-type"), "text/html; charset=utf-8");
  assert.equal(page.headers.get("cache-control"), "no-cache");
  assert.equal(await page.text(), "the page");
  const manifest = await fetch(`${relay.url}/app.webmanifest`);
  assert.equal(manifest.headers.get("content-type"), "application/manifest+json");
  for (const path of ["/none", "/none.js", "/%2e%2e/relay.capnp"]) {
    assert.equal((await fetch(relay.url + path)).status, 404, path);
  }
  assert.equal((await fetch(`${relay.url}/v1/none`)).status, 404);
  assert.equal((await fetch(relay.url, { method: "POST" })).status, 405);
});
