// All writes of one function as one mutation.

import type { Condition, Patch, Transaction, TransactionCollection } from "./api.js";
import type { LiveCollection } from "./collection.js";
import { patchText } from "./collection.js";
import { conditionKind, conditionSeq } from "./condition.js";
import { ALWAYS, DELETE, PATCH, SET, type ConditionKind, type Core, type OpKind } from "./core.js";
import type { Engine } from "./engine.js";
import { NeapError } from "./errors.js";
import type { Trace } from "./history.js";
import { checkKey, compareKeys } from "./key.js";
import { copyRecord, parseFrozen, type Plain } from "./record.js";

export class Draft implements Transaction {
  /** What the draft has made of keys, by collection. */
  readonly written = new Map<string, Map<string, Plain | null>>();
  private readonly collections = new Map<string, DraftCollection<object>>();
  private readonly befores = new Map<string, Map<string, Plain | undefined>>();
  private isOver = false;

  constructor(
    private readonly engine: Engine,
    private readonly core: Core,
  ) {}

  run(fn: (transaction: Transaction) => void): void {
    this.core.begin();
    const result: unknown = fn(this);
    if (typeof (result as PromiseLike<unknown> | undefined)?.then === "function")
      throw new NeapError("invalid-options", "a transaction cannot wait: its function may not be async");
  }

  collection<T extends object>(name: string): TransactionCollection<T> {
    this.checkRunning();
    let found = this.collections.get(name);
    if (!found) {
      const written = new Map<string, Plain | null>();
      found = new DraftCollection<object>(this, this.engine.collection<object>(name), written);
      this.collections.set(name, found);
      this.written.set(name, written);
    }
    return found as unknown as TransactionCollection<T>;
  }

  get primary(): string {
    return this.engine.primary;
  }

  checkRunning(): void {
    if (this.isOver) throw new NeapError("invalid-options", "the transaction is over");
  }

  op(kind: OpKind, collection: string, key: string, json: string, condition: ConditionKind, seq: number): void {
    this.checkRunning();
    let befores = this.befores.get(collection);
    if (!befores) this.befores.set(collection, (befores = new Map()));
    if (!befores.has(key)) befores.set(key, this.engine.collection<object>(collection).get(key) as Plain | undefined);
    const error = this.core.op(kind, collection, key, json, condition, seq);
    if (error !== 0) throw this.engine.errorOf(error);
  }

  read(collection: string, key: string): Plain | null {
    const json = this.core.draftGet(collection, key);
    return json === undefined ? null : parseFrozen(json);
  }

  /** What the mutation has made of the view, once it is complete. */
  traces(): Trace[] {
    const traces: Trace[] = [];
    for (const [collection, befores] of this.befores) {
      const now = this.engine.collection<object>(collection);
      for (const [key, before] of befores) {
        const after = now.get(key) as Plain | undefined;
        if (after !== before) traces.push({ collection, key, before, after });
      }
    }
    return traces;
  }

  end(): void {
    this.isOver = true;
  }
}

class DraftCollection<T extends object> implements TransactionCollection<T> {
  constructor(
    private readonly draft: Draft,
    private readonly base: LiveCollection<T>,
    private readonly written: Map<string, Plain | null>,
  ) {}

  get name(): string {
    return this.base.name;
  }

  set(record: T, condition?: Condition): void {
    const copy = copyRecord(record);
    const key = checkKey(copy[this.draft.primary]);
    const kind = conditionKind(condition);
    this.draft.op(SET, this.name, key, JSON.stringify(copy), kind, conditionSeq(condition));
    // A condition that fails leaves what was there.
    this.written.set(key, kind === ALWAYS ? copy : this.draft.read(this.name, key));
  }

  patch(key: string, partial: Patch<T>, condition?: Condition): void {
    checkKey(key);
    const json = patchText(partial, key, this.draft.primary);
    this.draft.op(PATCH, this.name, key, json, conditionKind(condition), conditionSeq(condition));
    this.written.set(key, this.draft.read(this.name, key));
  }

  delete(key: string, condition?: Condition): void {
    checkKey(key);
    this.draft.op(DELETE, this.name, key, "", conditionKind(condition), conditionSeq(condition));
    this.written.set(key, this.draft.read(this.name, key));
  }

  get(key: string): Readonly<T> | undefined {
    this.draft.checkRunning();
    const own = this.written.get(key);
    return own === undefined ? this.base.get(key) : ((own ?? undefined) as Readonly<T> | undefined);
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  get size(): number {
    this.draft.checkRunning();
    let size = this.base.size;
    for (const [key, own] of this.written) size += Number(own !== null) - Number(this.base.has(key));
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
    const keys = new Set([...this.base.keys(), ...this.written.keys()]);
    for (const key of [...keys].sort(compareKeys)) {
      const record = this.get(key);
      if (record !== undefined) yield [key, record];
    }
  }

  [Symbol.iterator](): IterableIterator<[string, Readonly<T>]> {
    return this.entries();
  }
}
