// What befalls tabs too rarely in worlds by dice, with what happens told one after the other.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { RelayProcess } from "./world/network.mjs";
import { Scene } from "./world/scene.mjs";

const SEEDS = [1, 2, 3, 4, 5];
const PASSING = { primary: "id", retain: "converged" };

let relay;
before(() => (relay = new RelayProcess()));
after(() => relay.stop());

/** Plays a scene in some orders of arrival. */
const scene = (name, play) =>
  test(name, async () => {
    for (const seed of SEEDS) await play(await Scene.set(seed, relay));
  });

scene("a catch-up that breaks off between pages is stored whole", async (scene) => {
  scene.browser.isLarge = true;
  const [client, tab] = [await scene.open(false), await scene.open()];
  await scene.live(client, tab);
  const records = client.ds.collection("records");
  records.set({ id: "first" });
  await scene.until(() => tab.ds.seq === 1, "the first record");
  tab.ds.goOffline();
  for (let n = 0; n < 24; n += 1) records.set({ id: `${n}`, text: "x".repeat(6000) });
  await scene.until(() => client.ds.seq === 25, "records while it is away");
  tab.ds.goOnline();
  let pages = 0;
  scene.network.arrived = (to, bytes) => (pages += Number(to === tab && bytes[0] === 1));
  await scene.until(() => pages === 2, "some pages");
  assert.equal(tab.ds.status.connection, "catching-up");
  scene.cut(tab);
  await scene.live(tab);
  await scene.close(tab);
  assert.ok(scene.rows("log").some(({ frames }) => frames.length > 2), "they are in the log");
  scene.network.isUp = false;
  const next = await scene.open();
  assert.deepEqual([next.ds.seq, next.ds.collection("records").size, next.trouble], [25, 25, []]);
});

scene("who was slow to hear of a new life takes nothing of it from the disk", async (scene) => {
  const [client, one, slow] = [await scene.open(false), await scene.open(), await scene.open()];
  await scene.live(client, one, slow);
  const records = client.ds.collection("records");
  records.set({ id: "a" });
  await scene.until(() => one.ds.seq === 1 && slow.ds.seq === 1, "a record");
  await scene.pass(300);
  records.set({ id: "b" });
  await scene.until(() => slow.ds.seq === 2, "another");
  slow.freeze(false);
  await scene.until(() => one.ds.seq === 2, "another");
  await scene.bearAnew();
  await scene.live(client, one);
  const [there, here] = [client, one].map(({ ds }) => ds.pool("passing", PASSING));
  records.set({ id: "c" });
  for (let n = 0; n < 3; n += 1) there.add({ id: `${n}` });
  await scene.until(() => here.converged && there.converged && here.items().length === 3, "all have all, and the relay nothing");
  await scene.pass(500);
  scene.network.isUp = false;
  slow.resume();
  await scene.pass(80);
  scene.network.isUp = true;
  await scene.live(slow);
  await scene.pass(1500);
  for (const tab of [one, slow]) await scene.close(tab);
  scene.network.isUp = false;
  const next = await scene.open();
  const pool = next.ds.pool("passing", PASSING);
  await scene.pass(200);
  assert.deepEqual([pool.items().map(({ id }) => id).sort(), next.trouble], [["0", "1", "2"], []]);
  assert.deepEqual([...next.ds.collection("records").keys()], ["c"]);
});

scene("news of a pool that were heard in a life that is over are not tried for ever", async (scene) => {
  const { disk, network } = scene;
  const [client, tab] = [await scene.open(false), await scene.open()];
  await scene.live(client, tab);
  const [there, here] = [client, tab].map(({ ds }) => ds.pool("kept", { primary: "id" }));
  await scene.until(() => there.converged && here.converged, "the pool is there");
  client.ds.collection("records").set({ id: "a" });
  await scene.until(() => tab.ds.seq === 1, "a record");
  await scene.pass(300);
  // The disk takes its time over the first item, so that the second waits.
  disk.isFrozen = true;
  for (let n = 0; n < 2; n += 1) {
    there.add({ id: `${n}` });
    await scene.until(() => here.items().length === n + 1, "an item");
    await scene.pass(50);
  }
  let welcomes = 0;
  network.arrived = (to, bytes) => (welcomes += Number(to === tab && bytes[0] === 0));
  await scene.bearAnew();
  await scene.until(() => welcomes > 0, "the new life is met");
  network.isUp = false;
  scene.cut(tab);
  disk.isFrozen = false;
  await scene.pass(200);
  const before = disk.writes;
  await scene.pass(2000);
  assert.ok(disk.writes - before < 5, `${disk.writes - before} writes at rest`);
  network.isUp = true;
  await scene.live(client, tab);
});
