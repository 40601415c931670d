// The core and what stands right around it: the queue of sets that have not crossed yet, the turns, the
// collections, and the one microtask that tells the app what has happened.

import type { Mutation, PoolOptions, Transaction } from "./api.js";
import { LiveCollection } from "./collection.js";
import type { ConditionKind, Core, CoreChanges, CoreEvent, OpKind } from "./core.js";
import { MALFORMED, NeapError } from "./errors.js";
import { Emitter } from "./events.js";
import { History, overwrites, type Restoring } from "./history.js";
import { checkName } from "./key.js";
import { MEMBERSHIPS_MAX } from "./limits.js";
import { Turns, type Handle } from "./mutation.js";
import { LivePool } from "./pool.js";
import type { Plain } from "./record.js";
import { Runs } from "./runs.js";
import { Draft } from "./transaction.js";
import { closedError } from "./trouble.js";

/** What a transaction has made of keys, by collection: it need not be parsed again. */
export type Written = ReadonlyMap<string, ReadonlyMap<string, Plain | null>>;

/** What the engine asks of the room around it. */
export interface Surroundings {
  /** There is something to store, to send or to wait for. */
  work(): void;
  /** The core has told something that is not about the view. */
  heard(event: CoreEvent): void;
  /** Looks at the status, and tells the app if it is another. */
  look(): void;
}

export class Engine {
  readonly emitter = new Emitter();
  readonly turns: Turns;
  readonly history = new History({
    read: (collection, key) => this.collection(collection).get(key) as Plain | undefined,
    restore: (writes, undone) => this.restore(writes, undone),
    refuse: (code, message) => this.refuse(code, message),
  });
  /** Name of the field that holds a record's key. */
  primary: string;
  private readonly collections = new Map<string, LiveCollection<object>>();
  /** By their marked names. */
  private readonly pools = new Map<string, LivePool<unknown>>();
  private readonly queued = new Runs();
  private workIsDue = false;
  /** There may be no macrotask any more. */
  isHurried = false;
  private touched: { notify(): void }[] = [];
  private news: (() => void)[] = [];
  private tellIsDue = false;
  private isClosed = false;
  private draft: Draft | undefined = undefined;

  constructor(
    readonly core: Core,
    private readonly surroundings: Surroundings,
    private readonly macrotask: (fn: () => void) => void,
  ) {
    this.primary = core.primary();
    this.turns = new Turns(core.replicaTag(), core.lastTurn());
  }

  // Commands.

  checkNotClosed(): void {
    if (this.isClosed) throw closedError();
  }

  checkOpen(): void {
    this.checkNotClosed();
    if (this.draft) throw new NeapError("invalid-options", "inside transact write through the transaction");
  }

  collection<T extends object>(name: string): LiveCollection<T> {
    let found = this.collections.get(name);
    if (!found) {
      found = new LiveCollection<object>(this, checkName(name));
      this.collections.set(name, found);
    }
    return found as unknown as LiveCollection<T>;
  }

  pool<T>(name: string, options: PoolOptions | undefined): LivePool<T> {
    const marked = `~${checkName(name)}`;
    const found = this.pools.get(marked);
    if (found) {
      found.choose(options);
      return found as unknown as LivePool<T>;
    }
    if (this.pools.size >= MEMBERSHIPS_MAX)
      throw new NeapError("invalid-options", `at most ${MEMBERSHIPS_MAX} pools can be open at once`);
    const pool = new LivePool<T>(this, name, marked, options);
    this.pools.set(marked, pool as unknown as LivePool<unknown>);
    if (this.isClosed) pool.close();
    this.workLater();
    return pool;
  }

  /** Adds canonical items, as a JSON array, to a pool. */
  add(pool: string, items: string): Handle {
    const turn = this.flushed().add(pool, items);
    if (turn < 0) throw this.errorOf(-turn);
    if (turn > this.turns.minted) return this.minted(undefined);
    return turn === 0 ? this.turns.acceptedHere() : this.turns.pending(turn);
  }

  /** Takes an unconditional set that is shown already; it crosses into the core with others. */
  queue(collection: string, record: Plain, chars: number): Handle {
    const isMuch = this.queued.add(collection, record, chars);
    this.workLater();
    if (isMuch) this.flush();
    if (!this.tellIsDue) this.tellLater();
    return this.turns.mint();
  }

  /** The core, with everything in it that the app has done. */
  flushed(): Core {
    if (this.queued.size > 0) this.flush();
    return this.core;
  }

  /** Everything that the core has under a name, in the order of the keys. */
  *entries(name: string): IterableIterator<[key: string, data: unknown]> {
    const core = this.flushed();
    core.dumpBegin(name);
    for (let piece = core.dumpNext(); piece !== undefined; piece = core.dumpNext()) {
      yield* JSON.parse(piece) as [string, unknown][];
    }
  }

  private flush(): void {
    // The walk lets nothing through that the core does not take.
    this.queued.drain((collection, json) => this.check(this.core.setMany(collection, json)));
  }

  /** Throws what the number of an error stands for; 0 stands for none. */
  check(error: number): void {
    if (error !== 0) throw this.errorOf(error);
  }

  /** Makes a mutation of one op by asking the core. */
  mutate(kind: OpKind, collection: string, key: string, json: string, condition: ConditionKind, seq: number): Handle {
    const turn = this.flushed().mutate(kind, collection, key, json, condition, seq);
    if (turn < 0) throw this.errorOf(-turn);
    return this.minted(undefined);
  }

  transact(fn: (transaction: Transaction) => void): Mutation {
    const [handle, draft] = this.runDraft(fn);
    draft.tell(handle);
    return handle;
  }

  undo(): Mutation | null {
    this.checkOpen();
    return this.history.undo();
  }

  redo(): Mutation | null {
    this.checkOpen();
    return this.history.redo();
  }

  private restore(writes: readonly Restoring[], undone: Handle): Handle {
    const [handle] = this.runDraft((tx) => {
      if (!undone.isSettled && !this.core.undo(undone.turn)) throw overwrites();
      for (const { collection, key, record, condition } of writes) {
        if (record) tx.collection(collection).set(record, condition);
        else tx.collection(collection).delete(key, condition);
      }
    });
    return handle;
  }

  private refuse(code: string, message: string): Handle {
    const handle = this.turns.refusedHere(code, message);
    this.tell(() => this.emitter.emit("refused", { id: handle.id, ops: [], code, message }));
    return handle;
  }

  private runDraft(fn: (transaction: Transaction) => void): [Handle, Draft] {
    this.checkOpen();
    const draft = new Draft(this, this.flushed());
    this.draft = draft;
    try {
      draft.run(fn);
    } catch (error) {
      this.core.abort();
      throw error;
    } finally {
      this.draft = undefined;
    }
    const handle = this.minted(draft.effects);
    return [handle, draft];
  }

  private minted(written: Written | undefined): Handle {
    this.drainView(written);
    const handle = this.turns.mint();
    this.workLater();
    this.tellLater();
    return handle;
  }

  errorOf(error: number): NeapError {
    return new NeapError(...(MALFORMED[error - 1] as (typeof MALFORMED)[number]));
  }

  // Outputs about the view and about what has happened.

  /** Takes what the core tells of view and world, after any input. Frames and storage are the driver's. */
  drain(): void {
    this.drainView(undefined);
    for (let text = this.core.events(); text !== undefined; text = this.core.events()) {
      for (const event of JSON.parse(text) as CoreEvent[]) this.hear(event);
    }
    this.tellLater();
  }

  private drainView(written: Written | undefined): void {
    for (let text = this.core.changes(); text !== undefined; text = this.core.changes()) {
      const [name, origin, changes] = JSON.parse(text) as CoreChanges;
      const collection = this.collections.get(name) ?? this.pools.get(name);
      const own = written?.get(name);
      if (!collection || changes.length === 0) continue;
      if ((changes[0] as unknown[]).length === 1) {
        collection.takeKeys(changes.map(([key]) => key), own);
        continue;
      }
      // Of pools only keys are told.
      if (collection instanceof LivePool) continue;
      const from = origin === 0 ? "local" : "remote";
      for (const [key, before = null, after = null] of changes) collection.takeRecord(key, before, after, from, own);
    }
  }

  private hear(event: CoreEvent): void {
    switch (event[0]) {
      case "settled":
        this.turns.accepted(event[1], event[2]);
        break;
      case "overtaken":
        this.turns.overtaken(event[1]);
        break;
      case "refused": {
        const [, turn, code, message, ops] = event;
        const id = this.turns.refused(turn, code, message);
        this.tell(() => this.emitter.emit("refused", { id, ops, code, message }));
        break;
      }
      case "renumbered":
        // What the core has not taken yet has a turn after all that it has.
        this.turns.renumbered(this.core.replicaTag(), this.core.lastTurn() + this.queued.size);
        break;
      case "welcome":
        this.primary = this.core.primary();
        break;
      case "reset":
        if (event[1] === "epoch") this.history.startAnew();
        this.tell(() => this.emitter.emit("reset", { reason: event[1] }));
        break;
      case "expired":
        this.tell(() => this.emitter.emit("expired", undefined));
        break;
      case "pool":
        this.pools.get(event[1])?.look();
        break;
      case "live":
      case "stopped":
      case "presence":
      case "error":
      case "mismatch":
        break;
    }
    this.surroundings.heard(event);
  }

  /** Tells the app of trouble that no call of its own has caused. */
  trouble(code: string, message: string, cause?: unknown): void {
    this.report(new NeapError(code, message, cause === undefined ? undefined : { cause }));
  }

  report(error: NeapError): void {
    this.tell(() => this.emitter.emit("error", error));
  }

  // One macrotask for the world, one microtask for the app.

  workLater(): void {
    if (this.isHurried) return queueMicrotask(() => this.surroundings.work());
    if (this.workIsDue) return;
    this.workIsDue = true;
    this.macrotask(() => {
      this.workIsDue = false;
      this.surroundings.work();
    });
  }

  notifyLater(collection: { notify(): void }): void {
    this.touched.push(collection);
    this.tellLater();
  }

  private tell(news: () => void): void {
    this.news.push(news);
    this.tellLater();
  }

  tellLater(): void {
    if (this.tellIsDue) return;
    this.tellIsDue = true;
    queueMicrotask(() => {
      this.tellIsDue = false;
      const touched = this.touched;
      const news = this.news;
      this.touched = [];
      this.news = [];
      for (const collection of touched) collection.notify();
      for (const tell of news) tell();
      this.surroundings.look();
    });
  }

  /** Mutations without an answer. */
  get pending(): number {
    return this.core.pending() + this.queued.size;
  }

  close(): void {
    this.flushed();
    this.isClosed = true;
    for (const pool of this.pools.values()) pool.close();
  }
}

