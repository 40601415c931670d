// The load program speaks the peers' protocols by hand: what it has said is there for their own clients to read.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { before, test } from "node:test";
import { promisify } from "node:util";
import { at, environment } from "../../tools/house.mjs";
import { buildLoad, buildWorkers, measure } from "../relays.mjs";
import { joiners, tinybaseSync, tldrawSocket } from "../joiners.mjs";
import { yjs } from "../wake.mjs";

before(() => Promise.all([buildLoad(), buildWorkers()]));

// Four writers with 64 keys each, all of them written more than once.
const speed = ["fan-out", 600];
const size = { seconds: 1, clients: 1 };
const seconds = (n) => AbortSignal.timeout(n * 1000);

/** Reads with a client of its own what was said to this relay, and checks it. */
const check = (name, read) =>
  test(`what the load says to ${name} is read by its own client`, async () => {
    const told = await measure(name, speed, size, async (url) => {
      const rows = await read(url);
      assert.equal(rows.length, 4 * 64);
      for (const { id, at, title } of rows) assert.ok(/[0-9a-f]{16}-\d+$/.test(id) && title.startsWith(`@${at}@ `), `${id} ${title}`);
    });
    assert.equal(told.delivered, told.wanted);
  });

check("y-partyserver", async (url) => {
  const { doc } = await yjs(url.replace(/^ws(.*)\/v1.*/, "http$1"), "bench");
  return [...doc.getMap("tasks").values()];
});

check("tinybase-persisted", async (url) => {
  const { createMergeableStore } = await import("tinybase");
  const store = createMergeableStore("reader");
  await tinybaseSync(store, url, () => {});
  for (const patience = seconds(10); store.getRowCount("tasks") < 4 * 64 && !patience.aborted; ) await new Promise((done) => setTimeout(done, 20));
  return Object.values(store.getTable("tasks"));
});

check("tldraw", async (url) => {
  const { client } = await import("../tldraw-client.mjs");
  const socket = await tldrawSocket(url, () => {});
  let store;
  await new Promise((done) => (store = client(socket, done)));
  return store.allRecords();
});

check("neap", async (url) => {
  const { size, get, ds } = await joiners.neap.join(url.replace(/^ws(.*)\/v1.*/, "http$1"), () => {});
  assert.equal(size(), 4 * 64);
  return [...ds.collection("tasks").values()].map((record) => get(record.id));
});

test("the load program counts what was delivered, however it came", async () => {
  await promisify(execFile)("cargo", ["test", "--release", "--quiet"], { cwd: at("bench", "load"), env: environment() });
});
