// A world in which a test says what happens, and the dice only in which order it arrives.

import assert from "node:assert/strict";
import { Disk } from "./disk.mjs";
import { Network } from "./network.mjs";
import { Browser, Tab } from "./tab.mjs";
import { World } from "./world.mjs";

/** More steps than anything takes. */
const STEPS = 20_000;

export class Scene {
  tabs = [];

  constructor(seed, relay, trace) {
    this.world = new World(seed, trace);
    this.network = new Network(this.world, relay);
    this.disk = new Disk(this.world);
    this.browser = new Browser(this.world, this.disk, this.network);
    this.browser.tellsOfFreezing = true;
  }

  static async set(seed, relay, trace) {
    await relay.ask("0 reset");
    return new Scene(seed, relay, trace);
  }

  /** Opens a tab of the browser, or a client without a disk. */
  async open(hasDisk = true) {
    const tab = new Tab(this.world, hasDisk ? this.browser : undefined, this.network, `t${this.tabs.length}`);
    this.tabs.push(tab);
    tab.open().catch((error) => this.world.errors.push(error));
    await this.until(() => tab.ds, "a tab opens");
    return tab;
  }

  async until(holds, what) {
    for (let left = STEPS; left > 0 && !holds(); left -= 1) await this.world.step();
    assert.deepEqual(this.world.errors, []);
    assert.ok(holds(), what);
  }

  live(...tabs) {
    return this.until(() => tabs.every(({ ds }) => ds.status.connection === "live" && ds.status.pending === 0), "all are live");
  }

  /** Whatever is on its way arrives, for so many steps. */
  async pass(steps) {
    await this.world.until(() => false, steps);
    assert.deepEqual(this.world.errors, []);
  }

  /** The datastore is gone, and another one is there under its name. */
  async bearAnew() {
    let isDone = false;
    this.network.arrivals.post(() => this.network.bearAnew().then(() => (isDone = true)));
    await this.until(() => isDone, "a new life");
  }

  /** A tab's connection breaks, with all that has not arrived. */
  cut(tab) {
    for (const line of [...this.network.all].filter((line) => line.tab === tab)) {
      line.isCut = true;
      line.downs.waiting.length = 0;
      line.downs.post(() => line.closed(1006));
    }
  }

  async close(tab) {
    let isClosed = false;
    tab.ds.close().then(() => (isClosed = true));
    await this.until(() => isClosed, "a tab closes");
    tab.kill();
  }

  /** What the disk holds in a store. */
  rows(name) {
    return [...this.disk.databases.values()][0].stores.get(name).all.map(([, row]) => row);
  }
}
