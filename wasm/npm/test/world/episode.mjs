// A while in a world: tabs of one browser and two clients of no disk edit the same few things while all that can befall a
// tab, a disk and a line does befall them. In the end nothing that was promised is missing, and nothing is there twice.

import assert from "node:assert/strict";
import { editor } from "../author.mjs";
import { COLLECTIONS, judge, Ledger } from "../ledger.mjs";
import { Disk } from "./disk.mjs";
import { Network } from "./network.mjs";
import { Browser, Tab } from "./tab.mjs";
import { World } from "./world.mjs";

const STEPS = 1500;
/** So many steps, in quiet, are more than enough to come to rest. */
const REST_STEPS = 60_000;
const TABS_MAX = 4;
const POOLS = { kept: { primary: "id" }, passing: { primary: "id", retain: "converged" } };
const ALL = Object.keys(POOLS);
/** What a bad line may lead to. */
const EXPECTED = ["unreachable", "too-slow"];

class Episode {
  /** What became of items: by pool, of each its author and what was told. */
  items = { kept: new Map(), passing: new Map() };
  /** Items that a tab of the browser has called converged: they are never gone from it. */
  converged = { kept: new Set(), passing: new Set() };
  tabs = [];
  /** What tabs have complained of that they should not: a good disk is never damaged. */
  complaints = [];
  sights = new Map();
  count = 0;

  constructor(seed, relay, { trace, weight = 0 }) {
    this.ledger = new Ledger(weight);
    this.world = new World(seed, trace);
    this.network = new Network(this.world, relay);
    this.disk = new Disk(this.world);
    this.browser = new Browser(this.world, this.disk, this.network);
    const { world } = this;
    /** How much befalls whom is another in each world: one in so many steps. */
    const rate = (most) => (world.once(3) ? Infinity : most * (1 + world.dice(4)));
    this.rates = {
      edit: 4 + world.dice(20), add: rate(20), pool: 20, tab: 60, close: rate(200), kill: rate(150), leave: rate(200), freeze: rate(100), resume: 60,
      reborn: Infinity, cut: rate(80), amid: weight > 0 ? 12 : Infinity, silence: rate(300), down: rate(400), up: 80, sleep: rate(100), browser: rate(700), power: rate(900), disk: rate(900), offline: rate(200), online: 40,
    };
  }

  see(what, tab) {
    this.sights.set(what, (this.sights.get(what) ?? 0) + 1);
    this.world.trace(`${this.world.steps} ${what} ${tab?.name ?? ""}`);
  }

  open(hasDisk) {
    const tab = new Tab(this.world, hasDisk ? this.browser : undefined, this.network, `t${this.count++}`);
    this.tabs.push(tab);
    this.see(hasDisk ? "tab" : "client", tab);
    tab.pools = {};
    tab.open().then(
      (ds) => {
        tab.edit = editor(ds, this.world.dice, tab.name, (news) => tab.isDead || this.hear(tab, news), this.ledger.weight);
      },
      (error) => this.world.errors.push(error),
    );
    return tab;
  }

  hear(tab, news) {
    this.world.trace(`${this.world.steps} ${tab.name} ${JSON.stringify(news)}`);
    this.ledger.hear(news);
  }

  openPool(tab, name) {
    tab.pools[name] ??= tab.ds.pool(name, POOLS[name]);
  }

  add(tab, name) {
    const id = `i${this.count++}`;
    const item = { tab: tab.name, isOurs: Boolean(tab.browser) };
    this.items[name].set(id, item);
    this.world.trace(`${this.world.steps} ${tab.name} adds ${id} to ${name}`);
    const mutation = tab.pools[name].add({ id });
    void mutation.durable.then(() => (item.isDurable ||= !tab.isDead));
    void mutation.settled.then((outcome) => tab.isDead || (item.outcome = outcome));
  }

  get alive() {
    return this.tabs.filter((tab) => !tab.isDead);
  }

  get sound() {
    return this.alive.filter(({ hasBadDisk }) => !hasBadDisk);
  }

  get ofBrowser() {
    return this.alive.filter((tab) => tab.browser);
  }

  kill(tab) {
    const strange = tab.hasBadDisk ? [] : tab.trouble.filter((code) => !EXPECTED.includes(code));
    if (strange.length > 0) this.complaints.push([tab.name, ...strange]);
    if (!tab.browser || tab.hasBadDisk) this.ledger.forgetful.add(tab.name);
    tab.kill();
  }

  /** What befalls this world in one step. */
  befall() {
    const { world, rates, network } = this;
    const happens = (what) => rates[what] !== Infinity && world.once(rates[what]);
    const tab = world.pick(this.ofBrowser.concat(world.once(4) ? this.alive : []));
    const awake = tab && !tab.isFrozen && tab.ds && !tab.isClosing ? tab : undefined;
    if (awake && happens("edit")) awake.edit?.();
    if (awake && happens("pool")) this.openPool(awake, world.pick(ALL));
    if (awake && happens("add")) {
      const name = world.pick(ALL);
      if (awake.pools[name]) this.add(awake, name);
    }
    if (happens("tab") && this.ofBrowser.length < TABS_MAX) this.open(true);
    if (awake && happens("offline")) awake.ds.goOffline();
    if (awake && happens("online")) awake.ds.goOnline();
    if (tab?.browser && happens("kill")) {
      this.see("kill", tab);
      this.kill(tab);
    } else if (awake?.browser && happens("close")) {
      this.see("close", awake);
      awake.isClosing = true;
      awake.ds.close().then(() => (this.see("closed", awake), this.kill(awake)));
    } else if (awake?.browser && happens("leave")) {
      this.see("leave", awake);
      const edit = world.once(2) ? awake.edit : undefined;
      awake.leave(edit);
      if (world.once(4)) void awake.ds.close();
      awake.isClosing = true;
      world.after(awake, world.dice(10), () => this.kill(awake));
    } else if (tab?.browser && !tab.isFrozen && happens("freeze")) {
      this.see(tab.isClosing ? "freeze, and it closes" : "freeze", tab);
      tab.freeze(world.once(2), awake && world.once(2) ? awake.edit : undefined);
    }
    const frozen = this.alive.filter(({ isFrozen }) => isFrozen);
    if (frozen.length > 0 && happens("resume")) this.resume(world.pick(frozen));
    const lines = [...network.all];
    if (lines.length > 0 && happens("cut")) {
      this.see("cut");
      network.cut(world.pick(lines));
    }
    const catching = lines.filter(({ tab }) => tab.ds?.status.connection === "catching-up");
    if (catching.length > 0 && happens("amid")) {
      this.see("cut, amid a catch-up");
      network.cut(world.pick(catching));
    }
    if (lines.length > 0 && happens("silence")) {
      this.see("silence");
      world.pick(lines).isSilent = true;
    }
    if (network.isUp ? happens("down") : happens("up")) {
      network.isUp = !network.isUp;
      if (!network.isUp) {
        this.see("down");
        for (const line of lines) network.cut(line);
      }
    }
    if (happens("reborn")) {
      this.see("reborn");
      this.isReborn = true;
      network.arrivals.post(() => network.bearAnew());
    }
    if (happens("sleep")) network.arrivals.post(() => network.tell(world.pick(["sleep", "tick"])));
    if (happens("browser")) {
      this.see("browser");
      for (const tab of this.ofBrowser) this.kill(tab);
    }
    if (happens("power")) {
      this.see("power");
      for (const tab of this.ofBrowser) this.kill(tab);
      if (this.disk.lose() > 0) {
        this.see("power, and writes are lost");
        this.wasPowerless = true;
      }
    }
    if (awake?.browser && happens("disk")) {
      this.see("disk", awake);
      awake.hasBadDisk = true;
    }
  }

  resume(tab) {
    this.see("resume", tab);
    tab.resume();
  }

  /** Takes note of what the browser's tabs call converged. */
  look() {
    for (const tab of this.ofBrowser) {
      for (const name of ALL) {
        const pool = tab.pools[name];
        if (!pool?.converged || tab.isFrozen || tab.ds.status.storage !== "indexeddb") continue;
        this.see("converged");
        for (const { id } of pool.items()) this.converged[name].add(id);
      }
    }
  }

  async play() {
    const { world } = this;
    await this.network.relay.ask("0 reset");
    this.reader = this.open(false);
    this.open(false);
    for (let step = 0; step < STEPS && world.errors.length === 0; step += 1) {
      this.befall();
      await world.step();
      if (step % 5 === 0) this.look();
      if (this.reader.ds && !this.reader.pools.kept) for (const name of ALL) this.openPool(this.reader, name);
    }
    await this.rest();
    // Outboxes of tabs that are gone are delivered. Whose disk has failed keeps its place until it closes.
    const isDelivered = await world.until(() => this.disk.isEmpty("outbox"), this.sights.has("disk") ? 3000 : REST_STEPS);
    assert.ok(isDelivered || this.sights.has("disk"), "outboxes are delivered");
    // What tabs tell each other may still be on its way.
    await world.until(() => false, 500);
    const wanted = JSON.stringify(this.recordsOf(this.reader));
    await world.until(() => this.sound.every((tab) => JSON.stringify(this.recordsOf(tab)) === wanted), REST_STEPS);
    this.check();
    await this.comeBack();
  }

  /** A tab opens, delivers what it finds, and closes. */
  async visit() {
    const tab = this.open(true);
    await this.world.until(() => tab.ds?.status.connection === "live" && tab.ds.status.pending === 0, REST_STEPS);
    const closing = tab.ds.close().then(() => this.kill(tab));
    await this.world.until(() => tab.isDead, REST_STEPS);
    await closing;
  }

  /** Everything is well again, and comes to an end. */
  async rest() {
    const { world, network } = this;
    this.see("rest");
    network.isUp = true;
    for (const line of network.all) if (line.isSilent) network.cut(line);
    for (const tab of this.alive) if (tab.isFrozen) this.resume(tab);
    assert.ok(await world.until(() => !this.alive.some(({ isClosing }) => isClosing), REST_STEPS), "who closes comes to an end");
    // Without locks it takes a tab that opens to deliver what another one has left.
    for (let left = 40; !this.browser.hasLocks && left > 0 && !this.disk.isEmpty("outbox"); left -= 1) await this.visit();
    this.last = this.open(true);
    const isAtRest = () => {
      for (const tab of this.alive.filter(({ ds }) => ds)) {
        tab.ds.goOnline();
        for (const name of ALL) this.openPool(tab, name);
      }
      return this.alive.every((tab) => {
        if (!tab.ds) return false;
        const { connection, pending, seq } = tab.ds.status;
        return connection === "live" && pending === 0 && seq === this.reader.ds?.seq && ALL.every((name) => tab.hasBadDisk || this.isReborn || tab.pools[name].converged);
      });
    };
    const hasCome = await world.until(isAtRest, REST_STEPS);
    assert.deepEqual(world.errors, []);
    if (!hasCome) {
      const where = this.alive.map(({ name, ds, pools }) => [name, ds?.status, ALL.map((name) => pools[name]?.converged)]);
      assert.fail(`no rest: ${JSON.stringify(where)}`);
    }
  }

  recordsOf({ ds }) {
    return Object.fromEntries(
      COLLECTIONS.map((name) => {
        const collection = ds.collection(name);
        const all = [...collection].map(([key, data]) => ({ key, seq: collection.meta(key).seq, data }));
        return [name, all.sort((a, b) => (a.key < b.key ? -1 : 1))];
      }),
    );
  }

  itemsOf(tab, name) {
    return tab.pools[name].items().map(({ id }) => id).sort();
  }

  check() {
    const { world, ledger, reader } = this;
    assert.deepEqual(world.errors, []);
    const all = this.recordsOf(reader);
    ledger.check(all, reader.ds.seq, this.isReborn ? this.network.past : undefined, this.isReborn || !this.browser.hasLocks);
    // Whose disk has failed does not learn that a sibling is gone with what it had in memory.
    for (const tab of this.sound) {
      assert.deepEqual(this.recordsOf(tab), all, `${tab.name} shows what ${reader.name} does`);
      assert.equal(tab.ds.digest, reader.ds.digest);
    }
    for (const name of ALL) this.checkPool(name);
    const strange = this.sound.flatMap(({ name, trouble }) => trouble.filter((code) => !EXPECTED.includes(code)).map((code) => [name, code]));
    assert.deepEqual([...this.complaints, ...strange], [], "no trouble");
  }

  checkPool(name) {
    // A pool ends with its datastore.
    if (this.isReborn) return;
    const wanted = this.itemsOf(this.reader, name);
    // Whoever is not there when the others converge may miss some, but somebody has them.
    const isHere = new Set(this.alive.flatMap((tab) => this.itemsOf(tab, name)));
    const lost = [...this.items[name]].filter(([id, { tab, isDurable, outcome }]) => {
      const isPromised = outcome?.status === "accepted" || (isDurable && !this.ledger.forgetful.has(tab));
      return isPromised && outcome?.status !== "refused" && !isHere.has(id);
    });
    assert.deepEqual(lost, [], `items of ${name} are lost`);
    for (const tab of this.ofBrowser.filter(({ hasBadDisk }) => !hasBadDisk)) {
      const mine = this.itemsOf(tab, name);
      if (POOLS[name].retain) {
        const has = new Set(mine);
        // Who opens a pool later than another tab has what that one was told when its page is loaded again.
        const isSure = tab === this.last && !this.wasPowerless;
        const gone = isSure ? [...this.converged[name]].filter((id) => !has.has(id)) : [];
        assert.deepEqual(gone, [], `items of ${name} that had converged are gone from ${tab.name}`);
      } else assert.deepEqual(mine, wanted, `${tab.name} has what ${this.reader.name} has of ${name}`);
    }
  }

  /** What the browser showed last it shows again without any network. */
  async comeBack() {
    const { world, network } = this;
    const all = this.recordsOf(this.reader);
    const items = ALL.map((name) => this.itemsOf(this.last, name));
    const closing = this.ofBrowser.map((tab) => tab.ds.close().then(() => tab.kill()));
    assert.ok(await world.until(() => this.ofBrowser.length === 0, REST_STEPS), "tabs close");
    await Promise.all(closing);
    network.isUp = false;
    // A disk that failed keeps what has been settled since.
    if (this.sights.has("disk")) return;
    const tab = this.open(true);
    assert.ok(await world.until(() => tab.ds, REST_STEPS), "a tab opens");
    for (const name of ALL) this.openPool(tab, name);
    await world.until(() => false, 50);
    assert.deepEqual(this.recordsOf(tab), all, "the records that come back");
    const back = ALL.map((name) => this.itemsOf(tab, name));
    const missing = items.map((all, at) => all.filter((id) => !back[at].includes(id)));
    assert.deepEqual(missing, [[], []], "the items that come back");
    if (!this.wasPowerless && !this.isReborn) {
      const own = [...this.items.passing].filter(([, { isOurs, outcome }]) => isOurs && outcome?.status === "accepted");
      assert.deepEqual(own.map(([id]) => id).filter((id) => !back[ALL.indexOf("passing")].includes(id)), [], "items that this browser has made");
    }
    assert.deepEqual(tab.trouble.filter((code) => !EXPECTED.includes(code)), []);
    this.kill(tab);
  }
}

/**
 * Plays one world, where the datastore may be `reborn` now and then, and each edit have so much `weight` that a catch-up takes
 * several pages; judges its history if that is wanted. Gives what was seen.
 */
export async function episode(seed, relay, { trace, judged = false, lies = false, reborn = false, lockless = false, weight, isLarge = false } = {}) {
  const played = new Episode(seed, relay, { trace, weight });
  played.disk.lies = lies;
  played.browser.hasLocks = !lockless;
  played.browser.isLarge = isLarge;
  if (reborn) played.rates.reborn = 400;
  await played.play();
  // The judge knows of one life, and of one tab under each id.
  if (judged && !played.isReborn && !lockless) {
    const verdict = judge(played.ledger.history(played.recordsOf(played.reader)));
    assert.equal(verdict.status, 0, verdict.stderr);
  }
  return { sights: played.sights, steps: played.world.steps, edits: played.ledger.marks.size };
}
