// Too much at once: frames, connects, a whole crowd that comes back. Meanwhile somebody well-behaved writes, and
// somebody asks for the relay's health, from a thread of their own, so that they wait for nobody but the relay.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { before, test } from "node:test";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { Bare, long, Raw, relay, set, sleep, until } from "./house.mjs";
import { hello, next, push, read } from "./wire.mjs";

if (isMainThread) tests();
else await watch(workerData.url);

/** Writes and asks for health, ten times a second, until it is told to stop. */
async function watch(url) {
  const raw = await Raw.open(url, "good");
  await raw.greet();
  let isOver = false;
  const told = { health: 0, write: 0, writes: 0, failed: 0 };
  parentPort.once("message", () => (isOver = true));
  parentPort.postMessage("ready");
  const timed = async (what, run) => {
    const start = performance.now();
    await run().catch(() => (told.failed += 1));
    told[what] = Math.max(told[what], performance.now() - start);
  };
  while (!isOver) {
    await timed("health", async () => assert.equal((await fetch(`${url}/v1/health`)).status, 200));
    await timed("write", () => raw.outcome(raw.push([set("c", "k", { n: told.writes })])));
    raw.acked = raw.turn;
    raw.frames.length = 0;
    told.writes += 1;
    await sleep(100);
  }
  if (raw.closed) told.failed += 1;
  raw.socket.close();
  parentPort.postMessage(told);
}

/** How long health may take, in milliseconds. Where others use the machine too, the short form can but tell that the relay does not hang. */
const HEALTH_MS = long ? 1_000 : 10_000;

/** Runs a flood under those eyes. */
async function under(t, r, flood) {
  const watcher = new Worker(new URL(import.meta.url), { workerData: { url: r.url() } });
  const says = () => new Promise((done, fail) => watcher.once("message", done).once("error", fail));
  assert.equal(await says(), "ready");
  const start = Date.now();
  await flood();
  watcher.postMessage("stop");
  const told = await says();
  await watcher.terminate();
  t.diagnostic(`${Date.now() - start} ms; health within ${told.health.toFixed(0)} ms, ${told.writes} writes within ${told.write.toFixed(0)} ms`);
  assert.equal(told.failed, 0);
  assert(told.writes > 0);
  assert(told.health < HEALTH_MS, `health took ${told.health} ms`);
}

function tests() {
  let r;
  before(async (t) => {
    r = await relay(t);
  });

  test("a socket at full speed", async (t) => {
    const bytes = (long ? 200 : 40) * 1024 * 1024;
    await under(t, r, async () => {
      const raw = await r.socket("full");
      await raw.greet();
      const text = "x".repeat(60_000);
      let said = 0;
      for (let i = 0; said < bytes && !raw.closed; i += 1) {
        raw.acked = raw.turn;
        raw.push([set("c", `${i % 10}`, { text, i })]);
        raw.frames.length = 0;
        said += text.length;
        await until("few are in flight", () => raw.closed || raw.socket.bufferedAmount < 4e6);
      }
      assertOffence(raw);
      raw.socket.close();
    });
  });

  test("many tiny frames", async (t) => {
    // workerd answers nobody while it works off what it has read of a socket: so many take what they take.
    const frames = long ? 10_000 : 3_000;
    await under(t, r, async () => {
      const raw = await r.socket("tiny");
      await raw.greet();
      for (let i = 0; i < frames && !raw.closed; i += 1) {
        raw.send(i % 3 === 0 ? next({ after: raw.seq, floor: raw.seq }) : read(1));
        if (i % 1_000 === 0) await sleep(0);
      }
      raw.socket.send("ping");
      await until("an answer, or the close", () => raw.closed || raw.texts.length > 0, 30_000);
      assertOffence(raw);
      raw.socket.close();
    });
  });

  test("very many connects", async (t) => {
    const [each, seconds] = long ? [1_000, 5] : [250, 2];
    await under(t, r, async () => {
      const all = [];
      for (let i = 0; i < each * seconds; i += each / 10) {
        for (let j = 0; j < each / 10; j += 1) all.push(Bare.open(r.url(), `c${j % 7}`).catch(() => null));
        await sleep(100);
      }
      const opened = (await Promise.all(all)).filter(Boolean);
      assert(opened.length > all.length * 0.9, `${opened.length} of ${all.length}`);
      for (const one of opened) one.tcp.destroy();
    });
  });

  test("a crowd of stale replicas that comes back at once", async (t) => {
    const [crowd, records] = long ? [500, 5_000] : [150, 1_000];
    const a = await r.socket("crowd");
    await a.greet();
    // One after the other: more at once than its author has read would leave it behind.
    for (let i = 0; i < records; i += 500) {
      await a.outcome(a.push(Array.from({ length: 500 }, (_, j) => set("c", `${i + j}`, { text: "x".repeat(200) }))));
    }
    const { digest } = (await r.call("GET", "/v1/datastores/crowd")).body;
    await under(t, r, async () => {
      const back = async () => {
        const one = await Bare.open(r.url(), "crowd");
        one.send(hello({ epoch: a.epoch, from: { after: 1, floor: 1 }, authors: [{ id: randomBytes(16) }] }));
        const seen = new Set();
        for (;;) {
          const page = await until("a page", () => one.frames.find((frame) => frame.kind === "page" && !seen.has(frame)), 60_000);
          seen.add(page);
          if (page.last) {
            assert.equal(page.last.digest, digest);
            break;
          }
          one.send(next(page.cursor));
        }
        return one;
      };
      const all = await Promise.all(Array.from({ length: crowd }, back));
      // Half of them have something to say.
      for (let i = 0; i < crowd; i += 2) all[i].send(push({ first: 1, mutations: [[set("d", `${i}`)]] }));
      await until("all that they had to say", async () => (await r.call("GET", "/v1/datastores/crowd")).body.records >= records + crowd / 2, 60_000);
      for (const one of all) one.tcp.destroy();
    });
  });
}

/** Who is too fast may be closed, and is told why. */
function assertOffence(raw) {
  if (raw.closed) assert.deepEqual([raw.closed.code, raw.closed.reason], [4429, "rate-limited"]);
}
