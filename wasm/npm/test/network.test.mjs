// Networks as they are: portals, dead lines, relays that are down or have enough, proxies that cut, hidden pages.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { launch } from "../../../tools/chromium.mjs";
import { startRelay } from "../../../tools/relay.mjs";
import { open } from "../dist/index.js";
import { faultyLine } from "./faults.mjs";
import { profile, source, tempDir, until } from "./house.mjs";

const { Socket } = await source("socket.ts");
const { CONNECT_MS, OFFLINE_PONG_MS, PAUSE_MS, PING_MS, RETRY_CAP_MS, RETRY_MS } = await source("limits.ts");
const PONG_MS = 10_000;

/** A socket on a clock of the test's own, among fake WebSockets and a fake page. */
async function fake(t, { dice = 0.5, early = false, target = async () => ({ url: "ws://here" }) } = {}) {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  t.mock.method(Math, "random", () => dice);
  const page = { window: new EventTarget(), document: Object.assign(new EventTarget(), { visibilityState: "visible" }) };
  Object.assign(globalThis, page);
  const made = [];
  class WebSocket extends EventTarget {
    sent = [];
    constructor() {
      super();
      made.push(this);
    }
    send = (text) => this.sent.push(text);
    close = (code) => (this.closeCode = code);
    tell = (type, detail) => this.dispatchEvent(Object.assign(new Event(type), detail));
  }
  const heard = [];
  const listener = Object.fromEntries(["opened", "frame", "pong", "closed", "targetFailed"].map((name) => [name, (detail) => heard.push([name, detail])]));
  listener.patience = () => PONG_MS;
  const socket = new Socket(target, WebSocket);
  t.after(() => {
    socket.dispose();
    delete globalThis.window;
    delete globalThis.document;
  });
  const pass = async (ms) => {
    t.mock.timers.tick(ms);
    // The target is asked for first.
    for (let n = 0; n < 3; n++) await Promise.resolve();
  };
  socket.start(early ? undefined : listener);
  await pass(0);
  const show = (visibilityState) => {
    document.visibilityState = visibilityState;
    document.dispatchEvent(new Event("visibilitychange"));
    return pass(0);
  };
  return { socket, listener, made, heard, pass, show, last: () => made.at(-1) };
}

async function replica(t, relay, options = {}) {
  const ds = await open({ relay, storage: "memory", ...options });
  t.after(() => ds.close());
  ds.trouble = [];
  ds.on("error", ({ code }) => ds.trouble.push(code));
  return ds;
}

async function relayOf(t) {
  const relay = await startRelay({ data: tempDir(t) });
  t.after(() => relay.stop());
  return Object.assign(relay, { port: Number(new URL(relay.url).port) });
}

test("a socket that fails without a close, as a content policy leaves one, is tried for again", async (t) => {
  const { made, heard, pass, last } = await fake(t);
  last().tell("error");
  await pass(0);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(heard, [["closed", 1006]]);
  // What comes late counts no more.
  last().tell("close", { code: 1006 });
  await pass(RETRY_MS);
  assert.deepEqual([heard.length, made.length], [1, 2]);
});

test("a road that is made before somebody listens is there when somebody does", async (t) => {
  const { socket, listener, made, heard, pass, last } = await fake(t, { early: true });
  last().tell("open");
  await pass(PING_MS);
  assert.deepEqual([last().sent, heard], [[], []]);
  socket.start(listener);
  assert.deepEqual(heard, [["opened", undefined]]);
  await pass(PING_MS);
  assert.deepEqual([last().sent, made.length], [["ping"], 1]);
});

test("one that fails before that is told of then, and tried for again as ever", async (t) => {
  const { socket, listener, made, heard, pass, last } = await fake(t, { early: true });
  last().tell("open");
  last().tell("close", { code: 4429, reason: "rate-limited" });
  await pass(RETRY_CAP_MS);
  assert.deepEqual([made.length, heard], [1, []]);
  socket.start(listener);
  await pass(PAUSE_MS);
  assert.deepEqual([made.length, heard], [1, [["closed", 4429]]]);
  await pass(RETRY_MS);
  assert.equal(made.length, 2);
  last().tell("open");
  assert.deepEqual(heard.at(-1), ["opened", undefined]);
});

test("one that was given up before that is made anew", async (t) => {
  const { socket, listener, made, heard, pass, last } = await fake(t, { early: true });
  last().tell("open");
  socket.stop();
  socket.start(listener);
  await pass(0);
  assert.deepEqual([made.length, heard], [2, []]);
});

test("waits between tries are drawn from the whole of a growing range, up to a cap", async (t) => {
  for (const dice of [0, 0.999]) {
    await t.test(`dice ${dice}`, async (t) => {
      const { made, last, pass } = await fake(t, { dice });
      let most = RETRY_MS;
      for (let tries = 1; tries < 12; tries++) {
        last().tell("close", { code: 1006 });
        await pass(0);
        if (dice > 0) {
          await pass(Math.floor(dice * most) - 1);
          assert.equal(made.length, tries, "not yet");
          await pass(2);
        } else await pass(1);
        assert.equal(made.length, tries + 1);
        most = Math.min(most * 2, RETRY_CAP_MS);
      }
      assert.equal(most, RETRY_CAP_MS);
    });
  }
});

test("a connection that answers nothing is noticed by a ping, and another one is made", async (t) => {
  const { made, heard, last, pass } = await fake(t);
  last().tell("open");
  await pass(PING_MS);
  assert.deepEqual(last().sent, ["ping"]);
  last().tell("message", { data: "e:1" });
  await pass(PING_MS);
  assert.deepEqual(last().sent, ["ping", "ping"]);
  last().tell("message", { data: "e:1" });
  await pass(PING_MS / 2);
  last().tell("message", { data: new ArrayBuffer(1) });
  await pass(PING_MS / 2);
  assert.equal(last().sent.length, 3, "who is heard is asked all the same");
  const dead = last();
  await pass(PONG_MS);
  assert.equal(dead.closeCode, 4000);
  assert.deepEqual(heard, [["opened", undefined], ["pong", "e:1"], ["pong", "e:1"], ["frame", new Uint8Array(1)], ["closed", 4000]]);
  await pass(RETRY_MS);
  assert.equal(made.length, 2);
  dead.tell("message", { data: "late" });
  assert.equal(heard.length, 5, "the dead one is not heard any more");
});

test("pings that follow sooner than an answer is due do not put it off; a shorter patience counts at once", async (t) => {
  const { listener, heard, last, pass } = await fake(t);
  listener.patience = () => 3 * PING_MS;
  last().tell("open");
  for (let n = 0; n < 3; n++) await pass(PING_MS);
  assert.deepEqual([last().sent.length, heard.length], [1, 1], "not yet");
  await pass(PING_MS);
  assert.deepEqual(heard.at(-1), ["closed", 4000]);
  await pass(RETRY_MS);
  last().tell("open");
  await pass(PING_MS);
  window.dispatchEvent(new Event("offline"));
  await pass(OFFLINE_PONG_MS);
  assert.deepEqual(heard.map(([name]) => name), ["opened", "closed", "opened", "closed"]);
});

test("a try that is neither taken nor refused is given up", async (t) => {
  const { made, heard, pass } = await fake(t);
  await pass(CONNECT_MS);
  assert.deepEqual(heard, [["closed", 1006]]);
  await pass(RETRY_MS);
  assert.equal(made.length, 2);
});

test("a token that comes to nothing after another try has begun is no news", async (t) => {
  const asked = [];
  const target = () => new Promise((resolve, reject) => asked.push({ resolve, reject }));
  const { socket, made, heard, pass, last } = await fake(t, { target });
  socket.stop();
  socket.start();
  asked[1].resolve({ url: "ws://here" });
  await pass(0);
  asked[0].reject(new Error("late"));
  await pass(0);
  last().tell("open");
  await pass(RETRY_CAP_MS);
  assert.deepEqual([asked.length, made.length, socket.isOpen], [2, 1, true]);
  assert.deepEqual(heard.map(([name]) => name), ["opened"]);
});

test("a relay that has enough is left alone for a while, also by a page that comes back", async (t) => {
  const { made, last, pass, show } = await fake(t, { dice: 0 });
  last().tell("open");
  last().tell("close", { code: 4429 });
  await pass(PAUSE_MS - 1);
  window.dispatchEvent(new Event("online"));
  await show("visible");
  assert.equal(made.length, 1);
  await pass(1);
  assert.equal(made.length, 2);
});

test("online, and a page that is shown again, connect at once or ask whether the connection stands", async (t) => {
  const { made, last, pass, show } = await fake(t, { dice: 0.999 });
  last().tell("close", { code: 1006 });
  window.dispatchEvent(new Event("online"));
  await pass(0);
  assert.equal(made.length, 2);
  last().tell("close", { code: 1006 });
  await show("hidden");
  assert.equal(made.length, 2, "hidden is no reason");
  await show("visible");
  assert.equal(made.length, 3);
  last().tell("open");
  window.dispatchEvent(new Event("online"));
  assert.deepEqual(last().sent, ["ping"]);
});

test("where the browser says that the network is gone, the connection is asked at once and has little time to answer", async (t) => {
  const { made, heard, last, pass } = await fake(t, { dice: 0 });
  last().tell("open");
  window.dispatchEvent(new Event("offline"));
  assert.deepEqual(last().sent, ["ping"]);
  last().tell("message", { data: "pong" });
  await pass(OFFLINE_PONG_MS);
  assert.equal(made.length, 1, "the relay is on this side of what is gone");
  window.dispatchEvent(new Event("offline"));
  await pass(OFFLINE_PONG_MS);
  assert.deepEqual(heard.filter(([what]) => what === "closed").length, 1);
  assert(made.length > 1);
});

test("a relay that cannot read what is pending is told of once, and asked at growing intervals", async (t) => {
  const relay = await relayOf(t);
  let connections = 0;
  class Garbler extends WebSocket {
    sent = 0;
    constructor(...given) {
      super(...given);
      connections += 1;
    }
    send(data) {
      // Hello is as it should be.
      super.send(typeof data === "string" || this.sent++ === 0 ? data : new Uint8Array([255, 255]));
    }
  }
  const ds = await replica(t, relay.url, { WebSocket: Garbler });
  await ds.ready;
  ds.collection("tasks").set({ id: "a" });
  await until(() => connections >= 4, "a fourth try");
  assert.deepEqual(ds.trouble, ["bad-request"]);
  const before = connections;
  await new Promise((done) => setTimeout(done, 1500));
  assert(connections - before <= 4, `${connections - before} more in 1.5 s`);
  assert.equal(ds.status.pending, 1);
});

test("a connection on which frames come is asked all the same for what did not come", async (t) => {
  const { last, pass } = await fake(t);
  last().tell("open");
  for (let i = 0; i < 8; i += 1) {
    await pass(PING_MS / 4);
    last().tell("message", { data: new ArrayBuffer(1) });
  }
  assert.deepEqual(last().sent, ["ping", "ping"]);
});

test("a hidden page keeps its connection and sends no pings; shown again it asks at once", async (t) => {
  const { made, last, pass, show } = await fake(t);
  last().tell("open");
  await show("hidden");
  await pass(100 * PING_MS);
  last().tell("message", { data: new ArrayBuffer(1) });
  await pass(100 * PING_MS);
  assert.deepEqual([made.length, last().sent], [1, []]);
  await show("visible");
  assert.deepEqual(last().sent, ["ping"]);
});

for (const [what, status, headers] of [
  ["a captive portal", 200, { "content-type": "text/html" }],
  ["a relay that is down", 503, {}],
  ["a relay that has enough", 429, { "retry-after": "1" }],
]) {
  test(`${what}: offline, tries again, no flood of errors, and goes on when it is gone`, async (t) => {
    t.mock.method(Math, "random", () => 0.05);
    const relay = await relayOf(t);
    let asked = 0;
    const answer = (_, response) => ((asked += 1), response.writeHead(status, headers).end("<h1>Welcome</h1>"));
    const portal = createServer(answer).on("upgrade", (_, socket) => {
      asked += 1;
      const text = "<h1>Welcome</h1>";
      const lines = [`HTTP/1.1 ${status} X`, ...Object.entries(headers).map((pair) => pair.join(": ")), `content-length: ${text.length}`];
      socket.end(`${lines.join("\r\n")}\r\n\r\n${text}`);
    });
    await new Promise((done) => portal.listen(0, "127.0.0.1", done));
    t.after(() => portal.close());
    let port = portal.address().port;
    const line = await faultyLine(t, () => port);
    const ds = await replica(t, line.url);
    const edit = ds.collection("tasks").set({ id: "a" });
    await until(() => asked >= 4, "four tries");
    assert.deepEqual([ds.status.connection, ds.status.pending, ds.trouble], ["offline", 1, []]);
    port = relay.port;
    assert.deepEqual(await edit.settled, { status: "accepted", seq: 1 });
  });
}

test("through a proxy that cuts every connection after a while nothing is lost", async (t) => {
  const relay = await relayOf(t);
  const line = await faultyLine(t, relay.port, () => ({ cutAfter: process.env.NEAP_LONG ? 60_000 : 2000 }));
  const ds = await replica(t, line.url);
  const outcomes = [];
  await until(async () => {
    outcomes.push(ds.collection("tasks").set({ id: `${outcomes.length}` }).settled);
    return line.cuts === 2;
  }, "two cuts", 150_000);
  await ds.settled();
  const seqs = (await Promise.all(outcomes)).map(({ seq }) => seq);
  assert.deepEqual(seqs, outcomes.map((_, n) => n + 1));
  assert.deepEqual(ds.trouble, []);
});

test("connections that die while pages come are made anew without growing waits: each has brought it nearer", async (t) => {
  const relay = await relayOf(t);
  const source = await replica(t, relay.url);
  for (let n = 0; n < 90; n++) source.collection("tasks").set({ id: `${n}`, text: "x".repeat(10_000) });
  await source.settled();
  const line = await faultyLine(t, relay.port, () => ({ cutAt: 150_000 }));
  t.mock.method(Math, "random", () => 0.999);
  const begin = performance.now();
  const reader = await replica(t, line.url, { id: source.id });
  await reader.ready;
  const waited = (performance.now() - begin) / 1000;
  assert.equal(reader.digest, source.digest);
  assert.ok(line.cuts >= 5, `${line.cuts} cuts`);
  // Growing waits would have come to half a minute.
  assert.ok(waited < RETRY_MS / 1000 * (line.cuts + 1) * 2, `${line.cuts} cuts took ${waited} s`);
  t.diagnostic(`${line.cuts} cuts in ${waited.toFixed(1)} s`);
});

test("what others change arrives while a large outbox is still on its way up", async (t) => {
  const relay = await relayOf(t);
  const line = await faultyLine(t, relay.port, () => ({ delay: () => 40 }));
  const ada = await replica(t, line.url);
  await ada.ready;
  const ben = await replica(t, relay.url, { id: ada.id });
  await ben.ready;
  const text = "x".repeat(200_000);
  for (let n = 0; n < 40; n++) ada.collection("tasks").set({ id: `${n}`, text });
  await ben.collection("tasks").set({ id: "news" }).settled;
  await until(() => ada.collection("tasks").has("news"), "the news");
  assert.ok(ada.status.pending > 0, "the upload is still under way");
  t.diagnostic(`${ada.status.pending} of 40 pending when the news was shown`);
  await ada.settled();
  assert.equal(ada.collection("tasks").size, 41);
});

test("in a real page `online` connects at once, however long the wait would be", async (t) => {
  const browser = await launch();
  t.after(() => browser.close());
  const { relay, context, tab } = await profile(t, browser);
  let isUp = false;
  const line = await faultyLine(t, Number(new URL(relay.url).port), () => (isUp ? {} : { cutAfter: 0 }));
  // No wait ever ends.
  await context.addInitScript(() => (globalThis.setTimeout = () => 0));
  const page = await tab({ relay: line.url, id: "board" });
  await until(() => page.evaluate(() => ds.status.connection === "offline"), "offline");
  isUp = true;
  await context.setOffline(true);
  assert.equal(line.connections, 1);
  await context.setOffline(false);
  await page.evaluate(() => ds.ready);
  assert.deepEqual(await page.evaluate(() => [ds.status.connection, trouble]), ["live", []]);
});

test("in a real page whose network goes the status says so within seconds, and that it is back", async (t) => {
  const browser = await launch();
  t.after(() => browser.close());
  const { relay, context, tab } = await profile(t, browser);
  const page = await tab({ relay: relay.url, id: "board" });
  await page.evaluate(() => ds.ready);
  await context.setOffline(true);
  await until(() => page.evaluate(() => ds.status.connection === "offline"), "offline", 5000);
  await context.setOffline(false);
  await until(() => page.evaluate(() => ds.status.connection === "live"), "live", 5000);
});
