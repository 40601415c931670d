// Three tabs of one profile and two clients in Node edit a few keys over a line that is cut, held up and swallowed, while
// tabs and the whole browser are killed: what was told durable is applied exactly once, or was told refused.
// NEAP_SEED names another run.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { launchProfile } from "../../../tools/chromium.mjs";
import { startRelay } from "../../../tools/relay.mjs";
import { open } from "../dist/index.js";
import { author } from "./author.mjs";
import { faultyLine } from "./faults.mjs";
import { builtPackage, random, serve, tempDir, until } from "./house.mjs";
import { COLLECTIONS, judge, Ledger } from "./ledger.mjs";

const long = Boolean(process.env.NEAP_LONG);
const ROUNDS = long ? 20 : 1;
const TABS = 3;
const CLIENTS = 2;
/** What befalls the tabs in one round, and the longest wait between. */
const FAULTS = 3;
const FAULT_MS = 600;

const PAGE = `<!doctype html><title>torture</title><script type="module">
  import * as neap from "/index.js";
  import { author, listen } from "/author.js";
  import { random } from "/dice.js";
  globalThis.start = async (options, name, seed, edits) => {
    globalThis.ds = await neap.open(options);
    // What must be known whatever befalls the page is told before the page goes on: before it can be stored.
    const tell = (news) => {
      if (!news.made && !news.refused) return void told(news);
      const asking = new XMLHttpRequest();
      asking.open("POST", "/told?" + encodeURIComponent(JSON.stringify(news)), false);
      asking.send();
    };
    if (edits) author(ds, random(seed), name, tell);
    else listen(ds, tell);
  };
  globalThis.isLoaded = true;
</script>`;

/** The browser and its tabs, as often as they are killed. */
class Tabs {
  kills = { close: 0, crash: 0, reload: 0, browser: 0 };
  pages = [];
  lives = 0;

  constructor({ profile, origin, options, ledger, dice }) {
    Object.assign(this, { profile, origin, options, ledger, dice });
  }

  async launch() {
    this.running = await launchProfile(this.profile);
    await this.running.context.exposeBinding("told", (_, news) => this.ledger.hear(news));
    this.pages = await Promise.all(Array.from({ length: TABS }, () => this.running.context.newPage()));
  }

  /** Loads a page in which an author edits, or one that only reads. */
  async load(page, edits) {
    await page.goto(this.origin);
    await page.waitForFunction("globalThis.isLoaded", undefined, { polling: 10 });
    const given = [this.options, `tab${this.lives++}`, this.dice(), edits];
    await page.evaluate((given) => start(...given), given);
  }

  loadAll(edits) {
    return Promise.all(this.pages.map((page) => this.load(page, edits)));
  }

  /** Something befalls one tab; another takes its place. */
  async hurt() {
    const at = this.dice(TABS);
    const page = this.pages[at];
    const kind = ["close", "crash", "reload"][this.dice(3)];
    this.kills[kind] += 1;
    if (kind === "reload") return this.load(page, true);
    if (kind === "crash") {
      const crashed = page.waitForEvent("crash");
      const session = await this.running.context.newCDPSession(page);
      void session.send("Page.crash").catch(() => {});
      await crashed;
    }
    await page.close({ runBeforeUnload: false });
    this.pages[at] = await this.running.context.newPage();
    await this.load(this.pages[at], true);
  }

  async kill() {
    this.kills.browser += 1;
    await this.running.kill();
  }
}

/** A client in Node whose memory goes with it. */
async function client(t, options, ledger, name, dice) {
  const ds = await open({ ...options, storage: "memory" });
  t.after(() => ds.close());
  const stop = author(ds, dice, name, (news) => ledger.hear(news));
  const end = async () => {
    stop();
    if (dice(3) === 0) ledger.forgetful.add(name);
    else await ds.settled();
    await ds.close();
  };
  return end;
}

const fates = (dice) => () => {
  const kind = dice(10);
  if (kind < 4) return { cutAfter: 50 + dice(1500), delay: () => dice(20) };
  if (kind < 6) return { silentAfter: dice(3) * dice(500), cutAfter: 600 + dice(900) };
  if (kind < 8) return { delay: () => dice(120) };
  return { cutAfter: dice(40) };
};

async function round(t, tabs, clientOptions, nth, dice) {
  const names = Array.from({ length: CLIENTS }, (_, who) => `node${who}.${nth}`);
  const starting = Promise.all(names.map((name) => client(t, clientOptions, tabs.ledger, name, dice)));
  await tabs.launch();
  await tabs.loadAll(true);
  for (let fault = 0; fault < FAULTS; fault++) {
    await new Promise((done) => setTimeout(done, dice(FAULT_MS)));
    await tabs.hurt();
  }
  await new Promise((done) => setTimeout(done, dice(FAULT_MS)));
  await tabs.kill();
  await Promise.all((await starting).map((end) => end()));
}

/** All that the relay has, by collection and key. */
async function readAll(relay, id) {
  const all = {};
  for (const name of COLLECTIONS) {
    const rows = [];
    for (let after = 0; after !== null; ) {
      const answer = await fetch(`${relay.url}/v1/datastores/${id}/collections/${name}/records?limit=10000&after=${after}`);
      const { records, next } = await answer.json();
      rows.push(...records);
      after = next;
    }
    all[name] = rows;
  }
  return all;
}

/** What a replica shows, as the relay would tell it. */
const shown = (ds, names) => {
  const bytes = new TextEncoder();
  const order = (a, b) => (String(bytes.encode(a)) < String(bytes.encode(b)) ? -1 : 1);
  return JSON.stringify(names.map((name) => [...ds.collection(name)].sort(([a], [b]) => order(a, b))));
};

test(`torture, ${ROUNDS} rounds: every edit that was told durable arrives exactly once, or was told refused`, { timeout: 120_000 + ROUNDS * 60_000 }, async (t) => {
  const seed = Number(process.env.NEAP_SEED ?? Date.now() % 1_000_000);
  t.diagnostic(`NEAP_SEED=${seed}`);
  const dice = random(seed);
  const relay = await startRelay({ data: tempDir(t) });
  t.after(() => relay.stop());
  const line = await faultyLine(t, Number(new URL(relay.url).port), fates(dice));
  const local = (name) => readFileSync(new URL(name, import.meta.url));
  const ledger = new Ledger();
  const told = (query) => (ledger.hear(JSON.parse(decodeURIComponent(query))), "");
  const files = { "/": PAGE, "/index.js": builtPackage(), "/author.js": local("author.mjs"), "/dice.js": local("dice.mjs"), "/told": told };
  const origin = await serve(t, files);
  const options = { relay: line.url, id: "torture" };
  const tabs = new Tabs({ profile: tempDir(t), origin, options, ledger, dice });
  t.after(() => tabs.running?.kill());

  for (let nth = 0; nth < ROUNDS; nth++) await round(t, tabs, options, nth, dice);

  line.heal();
  await tabs.launch();
  await tabs.loadAll(false);
  const reader = await open({ ...options, storage: "memory" });
  t.after(() => reader.close());
  await reader.ready;
  await Promise.all(tabs.pages.map((page) => page.evaluate(() => ds.ready.then(() => ds.settled()))));
  let all;
  let missing;
  const isThere = async () => {
    all = await readAll(relay, options.id);
    missing = ledger.missing(new Set(all.marks.map(({ key }) => key)));
    return missing.length === 0;
  };
  await until(isThere, "every promised edit", 15_000).catch(() => {});
  const { seq, digest } = await (await fetch(`${relay.url}/v1/datastores/${options.id}`)).json();

  const marks = [...ledger.marks.values()];
  const count = (holds) => marks.filter(holds).length;
  t.diagnostic(`${marks.length} mutations, ${count(({ durable }) => durable)} durable, ${ledger.promised().length} promised, ` +
    `${all.marks.length} applied, ${count((one) => ledger.isRefused(one))} refused; kills ${JSON.stringify(tabs.kills)}; ` +
    `${line.connections} connections, ${line.cuts} cut, ${line.silent} silent; errors ${JSON.stringify([...ledger.errors])}`);
  assert.deepEqual([...ledger.errors], [], "no trouble but that of the line");
  ledger.check(all, seq);
  const verdict = judge(ledger.history(all));
  assert.equal(verdict.status, 0, verdict.stderr);
  t.diagnostic(verdict.stdout.trim());
  const [first, last] = [1, seq].map((at) => all.marks.find((mark) => mark.seq === at));
  const swapped = { ...all, marks: all.marks.map((mark) => ({ ...mark, seq: mark === first ? seq : mark === last ? 1 : mark.seq })) };
  assert.equal(judge(ledger.history(swapped)).status, 1, "it notices that two have changed places");
  for (const name of COLLECTIONS) all[name].sort((a, b) => (Buffer.compare(Buffer.from(a.key), Buffer.from(b.key))));
  const wanted = JSON.stringify(COLLECTIONS.map((name) => all[name].map(({ key, data }) => [key, data])));
  await until(async () => {
    const told = await Promise.all(tabs.pages.map((page) => page.evaluate(() => [ds.digest, ds.seq, ds.status.pending])));
    return [[reader.digest, reader.seq, reader.status.pending], ...told].every((one) => `${one}` === `${[digest, seq, 0]}`);
  }, "equal digests");
  const sources = `(${shown})(ds, ${JSON.stringify(COLLECTIONS)})`;
  for (const page of tabs.pages) assert.equal(await page.evaluate(sources), wanted);
  assert.equal(shown(reader, COLLECTIONS), wanted);
});
