// A tab of a world: the package as it is published, with a browser around it that can be killed and frozen.

import { setMaxListeners } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { here } from "../house.mjs";
import { Range } from "./disk.mjs";

/** What the package reaches for in its surroundings. */
const NAMES = [
  "globalThis", "window", "document", "navigator", "indexedDB", "IDBKeyRange", "crypto", "Math", "Date", "performance", "setTimeout", "clearTimeout",
  "setImmediate", "BroadcastChannel", "console",
];

const module = new WebAssembly.Module(readFileSync(join(here, "src", "generated", "neap.wasm")));

/** Bounds that a small world comes to. */
const SMALL = { CATCH_UP_LOG_BYTES: 1500, LOG_BYTES_MIN: 3000 };
const limits = (text) =>
  Object.entries(SMALL).reduce((text, [name, small]) => text.replace(new RegExp(`${name} = (.*);`), `${name} = globalThis.isLarge ? $1 : ${small};`), text);

const inWorld = {
  name: "world",
  setup(build) {
    build.onResolve({ filter: /^neap:module$/ }, () => ({ path: "module", namespace: "world" }));
    build.onLoad({ filter: /.*/, namespace: "world" }, () => ({ contents: "export const compile = () => globalThis.compile();" }));
    build.onLoad({ filter: /src.limits.ts$/ }, ({ path }) => ({ contents: limits(readFileSync(path, "utf8")), loader: "ts" }));
  },
};
const { outputFiles } = await build({
  entryPoints: [join(here, "src", "index.ts")],
  bundle: true,
  write: false,
  format: "iife",
  globalName: "neap",
  plugins: [inWorld],
  logLevel: "error",
});
const load = new Function(...NAMES, `${outputFiles[0].text}; return neap;`);

/** One browser: the disk, the locks and the channels that its tabs share. */
export class Browser {
  locks = new Map();
  /** Not where a page is served over http. */
  hasLocks = true;
  /** Whether its bounds are those of any browser. */
  isLarge = false;
  channels = new Set();

  constructor(world, disk, network) {
    Object.assign(this, { world, disk, network });
    /** Not all browsers say that they freeze a page: it hears that it goes, and is kept for a return. */
    this.tellsOfFreezing = world.once(2);
  }

  /** What a tab calls `navigator.locks`. */
  locksOf(tab) {
    const lane = this.world.lane(tab);
    const request = (name, { ifAvailable, signal }, hold) =>
      new Promise((resolve, reject) => {
        const lock = this.locks.get(name) ?? { holder: undefined, queue: [] };
        this.locks.set(name, lock);
        const wish = { tab, grant: () => lane.post(() => resolve(Promise.resolve(hold({ name })).finally(() => this.release(lock, wish)))) };
        if (!lock.holder) {
          lock.holder = wish;
          return wish.grant();
        }
        if (ifAvailable) return lane.post(() => resolve(hold(null)));
        lock.queue.push(wish);
        signal?.addEventListener("abort", () => {
          if (!lock.queue.includes(wish)) return;
          lock.queue.splice(lock.queue.indexOf(wish), 1);
          reject(new DOMException("aborted", "AbortError"));
        });
      });
    return { request };
  }

  release(lock, wish) {
    if (lock.holder !== wish) return;
    lock.holder = lock.queue.shift();
    lock.holder?.grant();
  }

  channelOf(tab) {
    const browser = this;
    return class Channel {
      constructor(name) {
        Object.assign(this, { name, tab, lane: browser.world.lane(tab) });
        browser.channels.add(this);
      }

      postMessage(data) {
        if (tab.isDead) return;
        browser.world.trace(`${browser.world.steps} ${tab.name} posts ${typeof data === "string" ? data : Buffer.from(data).toString("hex").slice(0, 60)}`);
        for (const other of browser.channels) {
          if (other === this || other.name !== this.name) continue;
          const note = structuredClone(data);
          other.lane.post(() => browser.channels.has(other) && other.onmessage?.({ data: note }));
        }
      }

      close() {
        browser.channels.delete(this);
      }
    };
  }

  died(tab) {
    for (const lock of this.locks.values()) {
      lock.queue = lock.queue.filter((wish) => wish.tab !== tab);
      if (lock.holder?.tab === tab) this.release(lock, lock.holder);
    }
    for (const channel of [...this.channels]) if (channel.tab === tab) channel.close();
    this.disk.died(tab);
    this.network.died(tab);
  }
}

export class Tab {
  isDead = false;
  isFrozen = false;
  hasBadDisk = false;
  ds = undefined;
  trouble = [];

  constructor(world, browser, network, name) {
    Object.assign(this, { world, browser, network, name });
    this.neap = load(...this.#surroundings());
  }

  #surroundings() {
    const { world, browser } = this;
    const tasks = world.lane(this);
    this.window = new EventTarget();
    this.document = Object.assign(new EventTarget(), { visibilityState: "visible" }, browser?.tellsOfFreezing && { onfreeze: null });
    setMaxListeners(0, this.window, this.document);
    // Work takes time, so that slices end somewhere.
    const performance = { now: () => (world.now += world.dice(3)) };
    const found = {
      compile: () => Promise.resolve(module),
      Math: Object.assign(Object.create(Math), { random: () => world.dice() / 2 ** 32 }),
      Date: class extends Date {
        static now = () => world.now;
      },
      performance,
      // What is reported is heard as an event too.
      console: { warn: () => {} },
      crypto: { getRandomValues: (bytes) => bytes.map((_, at) => (bytes[at] = world.dice(256))) },
      setTimeout: (work, ms) => world.after(this, ms, work),
      clearTimeout: (cancel) => cancel?.(),
      setImmediate: (work) => tasks.post(work),
      ...(browser && {
        isLarge: browser.isLarge,
        window: this.window,
        document: this.document,
        indexedDB: browser.disk.of(this),
        IDBKeyRange: Range,
        navigator: browser.hasLocks ? { locks: browser.locksOf(this) } : {},
        BroadcastChannel: browser.channelOf(this),
      }),
    };
    return NAMES.map((name) => (name === "globalThis" ? found : found[name]));
  }

  /** Opens a datastore; it is there when it is there. */
  open() {
    const storage = this.browser ? "indexeddb" : "memory";
    const given = { relay: "http://relay", id: "world", storage, WebSocket: this.network.of(this) };
    return this.neap.open(given).then((ds) => {
      ds.on("error", ({ code }) => this.trouble.push(code));
      return (this.ds = ds);
    });
  }

  fire(on, type, more = {}) {
    on.dispatchEvent(Object.assign(new Event(type), more));
  }

  /** `edit` is what the app does at the last moment. A page that is kept for a return is told that it goes, and then frozen. */
  freeze(isKept, edit) {
    const { tellsOfFreezing } = this.browser;
    this.wasKept = isKept || !tellsOfFreezing;
    if (this.wasKept) this.fire(this.window, "pagehide", { persisted: true });
    edit?.();
    if (tellsOfFreezing) this.fire(this.document, "freeze");
    this.isFrozen = true;
  }

  resume() {
    this.isFrozen = false;
    if (this.browser.tellsOfFreezing) this.fire(this.document, "resume");
    if (this.wasKept) this.fire(this.window, "pageshow", { persisted: true });
  }

  /** The page is told that it goes, and the app does something yet. */
  leave(edit) {
    this.fire(this.window, "pagehide", { persisted: false });
    edit?.();
  }

  kill() {
    if (this.isDead) return;
    this.isDead = true;
    this.browser?.died(this);
    if (!this.browser) this.network.died(this);
  }
}
