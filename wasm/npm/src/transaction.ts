// All writes of one function as one mutation.

import type { Condition, Patch, Transaction, TransactionCollection } from "./api.js";
import type { LiveCollection } from "./collection.js";
import { patchText } from "./collection.js";
import { conditionKind, conditionSeq } from "./condition.js";
import { DELETE, PATCH, SET, type ConditionKind, type Core, type OpKind } from "./core.js";
import type { Engine, Written } from "./engine.js";
import { NeapError } from "./errors.js";
import type { Trace } from "./history.js";
import { checkKey, compareKeys } from "./key.js";
import type { Handle } from "./mutation.js";
import { copyKeyed, lastSize, parseFrozen, type Plain } from "./record.js";
import { Runs } from "./runs.js";
import { checkFunction } from "./trouble.js";

export class Draft implements Transaction {
  private readonly collections = new Map<string, DraftCollection<object>>();
  private readonly sets = new Runs();
  /** Whether all that came are unconditional sets: the core lets the caller show them. */
  private isPlain = true;
  /** What was wrong with sets that crossed together: some of them are lost, and so is the draft. */
  private failure: unknown = undefined;
  private isOver = false;
  private readonly befores: { collection: string; key: string; before: Plain | undefined }[] = [];

  constructor(
    private readonly engine: Engine,
    private readonly core: Core,
  ) {}

  /** Runs `fn` and commits what it has written. */
  run(fn: (transaction: Transaction) => void): void {
    checkFunction(fn, "what transact runs");
    this.core.begin();
    try {
      const result: unknown = fn(this);
      if (typeof (result as PromiseLike<unknown> | undefined)?.then === "function") {
        // Its later writes fail too, and of that the app hears here.
        (result as PromiseLike<unknown>).then(undefined, () => {});
        throw new NeapError("invalid-options", "a transaction cannot wait: its function may not be async");
      }
      this.cross();
      this.engine.checkNotClosed();
      for (const collection of this.collections.values()) this.look(collection);
      const turn = this.core.commit();
      if (turn < 0) throw this.engine.errorOf(-turn);
    } finally {
      this.isOver = true;
    }
    if (this.isPlain) for (const collection of this.collections.values()) collection.show();
  }

  /** Sees what is there under keys that were written. */
  private look(collection: DraftCollection<object>): void {
    if (this.isPlain) return collection.know();
    const { name, base } = collection;
    for (const key of collection.effects.keys())
      this.befores.push({ collection: name, key, before: base.get(key) as Plain | undefined });
  }

  /** What the draft has made of keys, by collection, where it is not shown yet. */
  get effects(): Written | undefined {
    if (this.isPlain) return undefined;
    return new Map([...this.collections].map(([name, { effects }]) => [name, effects]));
  }

  /** Tells what the mutation has made of the view, once the core's changes have been taken. */
  tell(handle: Handle): void {
    const { history } = this.engine;
    if (this.isPlain) {
      const touched = [...this.collections.values()].filter(({ isTouched }) => isTouched);
      let all: readonly Trace[] | undefined;
      if (touched.length > 0) history.made(handle, () => (all ??= touched.flatMap((collection) => collection.traces())));
      return;
    }
    const traces = this.befores.map(({ collection, key, before }): Trace => {
      const after = this.engine.collection<object>(collection).get(key) as Plain | undefined;
      return { collection, key, before, after };
    });
    history.made(handle, () => traces, traces.some(({ before, after }) => before !== after));
  }

  collection<T extends object>(name: string): TransactionCollection<T> {
    this.checkRunning();
    let found = this.collections.get(name);
    if (!found) {
      const base = this.engine.collection<object>(name);
      base.firstWrite();
      found = new DraftCollection<object>(this, base);
      this.collections.set(name, found);
    }
    return found as unknown as TransactionCollection<T>;
  }

  get primary(): string {
    return this.engine.primary;
  }

  checkRunning(): void {
    if (this.isOver) throw new NeapError("invalid-options", "the transaction is over");
  }

  set(collection: string, record: Plain, chars: number): void {
    this.checkRunning();
    if (this.sets.add(collection, record, chars)) this.cross();
  }

  op(kind: OpKind, collection: string, key: string, json: string, condition: ConditionKind, seq: number): void {
    this.checkRunning();
    this.cross();
    this.isPlain = false;
    this.engine.check(this.core.op(kind, collection, key, json, condition, seq));
  }

  /** Hands the sets that wait to the core. */
  private cross(): void {
    try {
      if (this.failure !== undefined) throw this.failure;
      this.sets.drain((collection, json) => this.engine.check(this.core.sets(collection, json)));
    } catch (error) {
      this.failure = error;
      throw error;
    }
  }

  read(collection: string, key: string): Plain | null {
    const json = this.core.draftGet(collection, key);
    return json === undefined ? null : parseFrozen(json);
  }
}

class DraftCollection<T extends object> implements TransactionCollection<T> {
  private readonly primary: string;
  /** Unconditional sets, in their order. */
  private readonly sets: Plain[] = [];
  /** What they have replaced, once they are shown. */
  private befores: () => readonly (Plain | undefined)[] = () => [];
  /** What is there under keys: who only loads needs none of it. */
  private byKey: Map<string, Plain | null> | undefined = undefined;

  constructor(
    private readonly draft: Draft,
    readonly base: LiveCollection<T>,
  ) {
    this.primary = draft.primary;
  }

  get isTouched(): boolean {
    return this.sets.length > 0;
  }

  /** What the draft has made of keys. */
  get effects(): Map<string, Plain | null> {
    return (this.byKey ??= new Map(this.sets.map((record) => [this.keyOf(record), record])));
  }

  /** Sees what is there under the keys of all sets. */
  know(): void {
    this.base.know(this.sets);
  }

  /** Shows all sets, which are all there is. */
  show(): void {
    this.befores = this.base.show(this.sets);
  }

  /** What they have made of the view. */
  traces(): Trace[] {
    const { sets, name: collection } = this;
    const befores = this.befores();
    const traces = new Map<string, Trace>();
    sets.forEach((after, index) => {
      const key = this.keyOf(after);
      // Of several sets of one key the first has replaced what was there.
      const before = traces.has(key) ? traces.get(key)?.before : befores[index];
      traces.set(key, { collection, key, before, after });
    });
    return [...traces.values()];
  }

  private keyOf(record: Plain): string {
    return record[this.primary] as string;
  }

  get name(): string {
    return this.base.name;
  }

  set(record: T, condition?: Condition): void {
    const copy = copyKeyed(record, this.primary);
    const key = this.keyOf(copy);
    if (condition === undefined) {
      this.draft.set(this.name, copy, lastSize());
      this.sets.push(copy);
      this.byKey?.set(key, copy);
      return;
    }
    this.draft.op(SET, this.name, key, JSON.stringify(copy), conditionKind(condition), conditionSeq(condition));
    // A condition that fails leaves what was there.
    this.effects.set(key, this.draft.read(this.name, key));
  }

  patch(key: string, partial: Patch<T>, condition?: Condition): void {
    checkKey(key);
    const json = patchText(partial, key, this.primary);
    this.draft.op(PATCH, this.name, key, json, conditionKind(condition), conditionSeq(condition));
    this.effects.set(key, this.draft.read(this.name, key));
  }

  delete(key: string, condition?: Condition): void {
    checkKey(key);
    this.draft.op(DELETE, this.name, key, "", conditionKind(condition), conditionSeq(condition));
    this.effects.set(key, this.draft.read(this.name, key));
  }

  get(key: string): Readonly<T> | undefined {
    this.draft.checkRunning();
    const own = this.effects.get(key);
    return own === undefined ? this.base.get(key) : ((own ?? undefined) as Readonly<T> | undefined);
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  get size(): number {
    this.draft.checkRunning();
    let size = this.base.size;
    for (const [key, own] of this.effects) size += Number(own !== null) - Number(this.base.has(key));
    return size;
  }

  *keys(): IterableIterator<string> {
    for (const [key] of this.entries()) yield key;
  }

  *values(): IterableIterator<Readonly<T>> {
    for (const [, record] of this.entries()) yield record;
  }

  *entries(): IterableIterator<[string, Readonly<T>]> {
    this.draft.checkRunning();
    const keys = new Set([...this.base.keys(), ...this.effects.keys()]);
    for (const key of [...keys].sort(compareKeys)) {
      const record = this.get(key);
      if (record !== undefined) yield [key, record];
    }
  }

  [Symbol.iterator](): IterableIterator<[string, Readonly<T>]> {
    return this.entries();
  }
}
