// A merge pool as the app holds it.

import type { Convergence, Mutation, Pool, PoolOptions } from "./api.js";
import { WATCH_KEYS } from "./core.js";
import type { Engine } from "./engine.js";
import { NeapError } from "./errors.js";
import { isFieldName } from "./key.js";
import { canonical, copyItem, parseFrozen } from "./record.js";
import { checkFunction, checkNames, closedError, reportUncaught } from "./trouble.js";
import { iterateValues, View } from "./view.js";

interface Waiter {
  resolve(convergence: Convergence): void;
  reject(error: NeapError): void;
}

export class LivePool<T> implements Pool<T> {
  /** Items by their identities, each in a box: an item may be `null`. */
  private readonly view = new View({
    fetch: (key) => {
      const json = this.engine.core.get(this.marked, key);
      return json === undefined ? undefined : parseFrozen(`{"item":${json}}`);
    },
    has: (key) => this.engine.core.has(this.marked, key),
    size: () => this.engine.core.size(this.marked),
    dump: (each) => {
      for (const [key, item] of this.engine.entries(this.marked)) each(key, { item });
    },
  });
  private readonly listeners = new Set<() => void>();
  private waiters: Waiter[] = [];
  private list: T[] | undefined = undefined;
  private wasConverged = false;
  private hasNews = false;
  private isClosed = false;

  constructor(
    private readonly engine: Engine,
    readonly name: string,
    /** The name by which the core tells it from a collection. */
    private readonly marked: string,
    options: PoolOptions | undefined,
  ) {
    this.choose(options);
    engine.core.watch(marked, WATCH_KEYS);
  }

  /** Opens it, once or again. Throws `invalid-options`, and `options-mismatch` where it is open with others. */
  choose(options: PoolOptions | undefined): void {
    const { primary, retain } = checked(options);
    if (!this.engine.flushed().openPool(this.marked, primary, retain))
      throw new NeapError("options-mismatch", `the pool "${this.name}" is open with other options`);
  }

  add(items: T | readonly T[]): Mutation {
    this.engine.checkOpen();
    const all: readonly unknown[] = Array.isArray(items) ? items : [items];
    const handle = this.engine.add(this.marked, `[${Array.from(all, canonicalOf).join()}]`);
    this.look();
    return handle;
  }

  items(): T[] {
    return (this.list ??= Object.freeze(Array.from(iterateValues<{ item: T }>(this.view), ({ item }) => item)) as T[]);
  }

  has(item: T): boolean {
    let key: string | undefined;
    try {
      key = this.engine.core.identify(this.marked, canonicalOf(item));
    } catch {
      // What is no item is in no pool.
    }
    return key !== undefined && this.view.has(key);
  }

  get size(): number {
    return this.view.size();
  }

  subscribe(listener: () => void): () => void {
    checkFunction(listener);
    // A wrapper of its own, so that one function can be subscribed twice.
    const own = () => listener();
    this.listeners.add(own);
    return () => void this.listeners.delete(own);
  }

  get converged(): boolean {
    return this.convergence() !== undefined;
  }

  whenConverged(): Promise<Convergence> {
    return new Promise((resolve, reject) => {
      const convergence = this.convergence();
      if (this.isClosed) reject(closedError());
      else if (convergence) resolve(convergence);
      else this.waiters.push({ resolve, reject });
    });
  }

  private convergence(): Convergence | undefined {
    const json = this.isClosed ? undefined : this.engine.core.convergence(this.marked);
    if (json === undefined) return undefined;
    const [seq, digest] = JSON.parse(json) as [number, string];
    return Object.freeze({ seq, digest });
  }

  // What the engine tells.

  /** Items have changed under these identities. */
  takeKeys(keys: readonly string[]): void {
    this.view.invalidate(keys);
    this.list = undefined;
    this.tellLater();
  }

  /** It may have converged, or no longer. */
  look(): void {
    const convergence = this.convergence();
    if (convergence) for (const waiter of this.waiters.splice(0)) waiter.resolve(convergence);
    if (this.wasConverged === Boolean(convergence)) return;
    this.wasConverged = !this.wasConverged;
    this.tellLater();
  }

  private tellLater(): void {
    if (!this.hasNews) this.engine.notifyLater(this);
    this.hasNews = true;
  }

  /** Tells the subscribers. */
  notify(): void {
    this.hasNews = false;
    for (const listener of [...this.listeners]) {
      if (!this.listeners.has(listener)) continue;
      try {
        listener();
      } catch (error) {
        reportUncaught(error);
      }
    }
  }

  close(): void {
    this.isClosed = true;
    for (const waiter of this.waiters.splice(0)) waiter.reject(closedError());
  }
}

const canonicalOf = (item: unknown): string => canonical(copyItem(item));

const invalid = (message: string): NeapError => new NeapError("invalid-options", message);

function checked(options: PoolOptions = {}): PoolOptions {
  checkNames(options, "primary retain");
  const { primary, retain } = options;
  if (primary !== undefined && !isFieldName(primary)) throw invalid("primary is a name of 1 to 64 bytes");
  if (retain !== undefined && retain !== "ttl" && retain !== "converged") throw invalid('retain is "ttl" or "converged"');
  return options;
}
