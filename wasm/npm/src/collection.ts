// A collection as the app holds it.

import type { Change, Collection, Condition, Meta, Mutation, Patch, Query, QueryOptions, TransactionCollection } from "./api.js";
import { conditionKind, conditionSeq } from "./condition.js";
import { DELETE, PATCH, SET, type OpKind, WATCH_KEYS, WATCH_NOTHING, WATCH_RECORDS, type Watch } from "./core.js";
import { NeapError } from "./errors.js";
import { checkKey, isKey } from "./key.js";
import { LiveQuery } from "./query.js";
import { copyKeyed, copyRecord, freeze, lastSize, parseFrozen, type Plain } from "./record.js";
import type { Engine } from "./engine.js";
import { iterateEntries, iterateKeys, iterateValues, View } from "./view.js";
import { checkFunction, reportUncaught } from "./trouble.js";

type Batch<T> = { readonly changes: readonly Change<T>[] };
type Listener<T> = (batch: Batch<T>) => void;

export class LiveCollection<T extends object> implements Collection<T> {
  private readonly view = new View({
    fetch: (key) => this.fetch(key),
    has: (key) => this.engine.core.has(this.name, key),
    size: () => this.engine.flushed().size(this.name),
    dump: (each) => this.dump(each),
  });
  private readonly listeners = new Set<Listener<T>>();
  private readonly queries = new Set<LiveQuery<object>>();
  private changes: Change<T>[] = [];
  private watch: Watch = WATCH_NOTHING;

  constructor(
    private readonly engine: Engine,
    readonly name: string,
  ) {}

  get primary(): string {
    return this.engine.primary;
  }

  // Writes.

  set(record: T, condition?: Condition): Mutation {
    const engine = this.engine;
    engine.checkOpen();
    const copy = copyKeyed(record, engine.primary);
    const size = lastSize();
    const key = copy[engine.primary] as string;
    if (condition !== undefined) {
      return this.mutate(SET, key, JSON.stringify(copy), condition);
    }
    // Nothing can make the relay's verdict differ from this one, so the core need not be asked first.
    this.firstWrite();
    const known = this.view.put(key, copy);
    const before = known === undefined ? this.fetch(key) : (known ?? undefined);
    if (this.isHeard) this.note(key, before, copy, "local");
    const handle = engine.queue(this.name, copy, size);
    engine.history.made(handle, () => [{ collection: this.name, key, before, after: copy }]);
    return handle;
  }

  patch(key: string, partial: Patch<T>, condition?: Condition): Mutation {
    this.engine.checkOpen();
    checkKey(key);
    return this.mutate(PATCH, key, patchText(partial, key, this.engine.primary), condition);
  }

  delete(key: string, condition?: Condition): Mutation {
    this.engine.checkOpen();
    checkKey(key);
    return this.mutate(DELETE, key, "", condition);
  }

  transact(fn: (transaction: TransactionCollection<T>) => void): Mutation {
    checkFunction(fn, "what transact runs");
    return this.engine.transact((tx) => fn(tx.collection<T>(this.name)));
  }

  private mutate(kind: OpKind, key: string, json: string, condition: Condition | undefined): Mutation {
    const { engine, name } = this;
    const [ifKind, ifSeq] = [conditionKind(condition), conditionSeq(condition)];
    engine.flushed();
    const before = this.view.get(key);
    const handle = engine.mutate(kind, name, key, json, ifKind, ifSeq);
    const after = this.view.get(key);
    engine.history.made(handle, () => [{ collection: name, key, before, after }], after !== before);
    return handle;
  }

  // Reads.

  get(key: string): Readonly<T> | undefined {
    return this.view.get(key) as Readonly<T> | undefined;
  }

  has(key: string): boolean {
    return this.view.has(key);
  }

  get size(): number {
    return this.view.size();
  }

  keys(): IterableIterator<string> {
    return iterateKeys(this.view);
  }

  values(): IterableIterator<Readonly<T>> {
    return iterateValues(this.view);
  }

  entries(): IterableIterator<[string, Readonly<T>]> {
    return iterateEntries(this.view);
  }

  [Symbol.iterator](): IterableIterator<[string, Readonly<T>]> {
    return iterateEntries(this.view);
  }

  meta(key: string): Meta {
    if (!isKey(key)) return { seq: null, pending: false };
    const core = this.engine.flushed();
    const seq = core.metaSeq(this.name, key);
    return { seq: seq < 0 ? null : seq, pending: core.metaPending(this.name, key) };
  }

  subscribe(listener: Listener<T>): () => void {
    checkFunction(listener);
    // A wrapper of its own, so that one function can be subscribed twice.
    const own: Listener<T> = (batch) => listener(batch);
    this.listeners.add(own);
    this.watchAtLeast(WATCH_RECORDS);
    return () => {
      if (this.listeners.delete(own)) this.hearLess();
    };
  }

  query(options: QueryOptions<T> = {}): Query<T> {
    const ground = {
      entries: () => iterateEntries<Plain>(this.view),
      changed: (query: { notify(): void }) => this.engine.notifyLater(query),
      close: (query: LiveQuery<object>) => {
        if (this.queries.delete(query)) this.hearLess();
      },
    };
    const query = new LiveQuery<T>(ground, options);
    this.queries.add(query as unknown as LiveQuery<object>);
    this.watchAtLeast(WATCH_RECORDS);
    return query;
  }

  private get isHeard(): boolean {
    return this.listeners.size > 0 || this.queries.size > 0;
  }

  private hearLess(): void {
    if (!this.isHeard) this.setWatch(WATCH_KEYS);
  }

  // What the view asks for. What waits in the queue has a node, so the core can be asked as it is.

  private fetch(key: string): Plain | undefined {
    this.watchAtLeast(WATCH_KEYS);
    const json = this.engine.core.get(this.name, key);
    return json === undefined ? undefined : parseFrozen(json);
  }

  private dump(each: (key: string, record: object) => void): void {
    this.watchAtLeast(WATCH_KEYS);
    for (const [key, record] of this.engine.entries(this.name)) each(key, record as object);
  }

  /** Fetches what is there under the keys of these records, before the core is told of them. */
  know(records: readonly Plain[]): void {
    if (!this.view.isComplete) for (const record of records) this.view.get(record[this.primary] as string);
  }

  /** Shows records that the core will not tell of, under keys that are known. What it gives tells what was there. */
  show(records: readonly Plain[]): () => readonly (Plain | undefined)[] {
    const { primary } = this;
    const keyOf = (record: Plain) => record[primary] as string;
    let befores: readonly (Plain | undefined)[] = [];
    this.view.owe(() => {
      befores = records.map((record) => this.view.put(keyOf(record), record) ?? undefined);
    });
    if (this.isHeard) {
      this.view.settle();
      records.forEach((record, index) => this.note(keyOf(record), befores[index], record, "local"));
    }
    return () => {
      this.view.settle();
      return befores;
    };
  }

  /** Makes reads cheap where there is nothing yet. To be called with nothing in the queue. */
  firstWrite(): void {
    if (this.watch !== WATCH_NOTHING) return;
    this.watchAtLeast(WATCH_KEYS);
    if (this.view.isEmpty && this.engine.core.size(this.name) === 0) this.view.startComplete();
  }

  private watchAtLeast(level: Watch): void {
    if (this.watch < level) this.setWatch(level);
  }

  private setWatch(level: Watch): void {
    this.watch = level;
    this.engine.flushed().watch(this.name, level);
  }

  // Changes.

  /** Takes changes of which the core tells keys only; `written` has what a transaction made of them. */
  takeKeys(keys: readonly string[], written: ReadonlyMap<string, Plain | null> | undefined): void {
    if (!written) return this.view.invalidate(keys);
    const unwritten: string[] = [];
    for (const key of keys) {
      const record = written.get(key);
      if (record === undefined) unwritten.push(key);
      else this.view.take(key, record);
    }
    if (unwritten.length > 0) this.view.invalidate(unwritten);
  }

  /** Takes a change of which the core tells everything; a record already here stays the same object. */
  takeRecord(
    key: string,
    before: object | null,
    after: object | null,
    origin: "local" | "remote",
    written: ReadonlyMap<string, Plain | null> | undefined,
  ): void {
    const known = this.view.peek(key);
    const own = written?.get(key);
    const record = own !== undefined ? own : after && (freeze(after) as Plain);
    this.view.take(key, record);
    if (!this.isHeard) return;
    const was = known === undefined ? before && (freeze(before) as Plain) : known;
    this.note(key, was ?? undefined, record ?? undefined, origin);
  }

  private note(key: string, before: Plain | undefined, after: Plain | undefined, origin: "local" | "remote"): void {
    for (const query of this.queries) query.take(key, before, after);
    if (this.listeners.size === 0) return;
    if (this.changes.length === 0) this.engine.notifyLater(this);
    this.changes.push({ key, before, after, origin } as Change<T>);
  }

  /** Tells the subscribers what has come together. */
  notify(): void {
    const changes = merged(this.changes);
    this.changes = [];
    if (changes.length === 0) return;
    const batch: Batch<T> = Object.freeze({ changes });
    for (const listener of [...this.listeners]) {
      if (!this.listeners.has(listener)) continue;
      try {
        listener(batch);
      } catch (error) {
        reportUncaught(error);
      }
    }
  }
}

/** One change for each key; what came and went again is none. */
function merged<T>(changes: Change<T>[]): readonly Change<T>[] {
  if (changes.length === 1) return changes;
  const byKey = new Map<string, Change<T>>();
  for (const change of changes) {
    const earlier = byKey.get(change.key);
    byKey.set(change.key, earlier ? { ...change, before: earlier.before } : change);
  }
  if (byKey.size === changes.length) return changes;
  return [...byKey.values()].filter(({ before, after }) => before !== after);
}

/** The JSON of a merge patch. It may name the primary field only with the key. */
export function patchText(partial: unknown, key: string, primary: string): string {
  const copy = copyRecord(partial);
  if (Object.hasOwn(copy, primary) && copy[primary] !== key)
    throw new NeapError("key-mismatch", `a patch may not change the primary field "${primary}"`);
  return JSON.stringify(copy);
}
