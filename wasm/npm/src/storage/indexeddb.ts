// A datastore's local copy in IndexedDB, shared by all tabs of one user.
//
// Whoever takes a slot puts a mark of its own there, and each write checks the mark in its own transaction. Writes of the
// outbox alone skip that while a Web Lock is held: a page that goes has no time to read first. Locks are lost in sleep, and
// some platforms have none.

import { after, stopwatch } from "../clock.js";
import { randomBytes, toHex } from "../dice.js";
import { LOOK_AGAIN_MS, LOOK_IN_MS } from "../limits.js";
import { readConfirmed, readKnown, writeConfirmed, type KnownSteps, type Written } from "./confirmed.js";
import { complete, openDatabase, request, STORES } from "./database.js";
import { awaitLock, hasSharedLocks, tryLock } from "./slots.js";
import { newIdentity, readBlock, readIdentity, type Owned } from "./rows.js";
import type { Batch, Confirmed, Heirs, Storage, Stored, Verdict } from "./storage.js";
import { lostError, newerError } from "./trouble.js";

/** Opens the database `name`, makes it where there is none, and takes a slot in it; gives all of it up again at the `signal`. */
export const openIndexedDb = (name: string, signal: AbortSignal): Promise<IndexedDbStorage> => openIn(name, takeSlot, signal);

async function openIn(name: string, take: typeof takeSlot, signal?: AbortSignal): Promise<IndexedDbStorage> {
  const db = await openDatabase(name);
  try {
    const [slot, release] = await take(db, name, signal);
    const opened = new IndexedDbStorage(db, name, slot, release);
    signal?.addEventListener("abort", () => opened.abandon());
    if (signal?.aborted) opened.abandon();
    return opened;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Ends a transaction, if it still needs the page. */
function giveUp(begun: IDBTransaction): void {
  try {
    begun.abort();
  } catch {
    // It is on its way.
  }
}

/** Takes an idle replica, rather one that still has something to say, or makes a new one. */
async function takeSlot(db: IDBDatabase, name: string, signal?: AbortSignal): Promise<[slot: string, release: () => void]> {
  const reading = db.transaction(["replicas", "outbox"]);
  signal?.addEventListener("abort", () => giveUp(reading));
  const [slots, blocks] = await Promise.all([
    request(reading.objectStore("replicas").getAllKeys()),
    request(reading.objectStore("outbox").getAllKeys()),
  ]);
  const busy = new Set(blocks.map((key) => (key as [string, number])[0]));
  const known = (slots as string[]).sort((a, b) => Number(busy.has(b)) - Number(busy.has(a)));
  // Where nobody can tell whether a tab still runs, one that has nothing to say is left alone.
  for (const slot of hasSharedLocks() ? known : known.filter((slot) => busy.has(slot))) {
    const release = await tryLock(`${name}#${slot}`);
    if (release) return [slot, release];
  }
  return freshSlot(db, name);
}

async function freshSlot(_: IDBDatabase, name: string): Promise<[slot: string, release: () => void]> {
  const slot = toHex(randomBytes(8));
  const release = await tryLock(`${name}#${slot}`);
  if (!release) throw new Error("no lock for a new replica");
  return [slot, release];
}

/** The keys of a slot's blocks in the outbox. */
const blocksOf = (slot: string): IDBKeyRange => IDBKeyRange.bound([slot], [slot, []]);

export class IndexedDbStorage implements Storage {
  readonly kind = "indexeddb";
  onLost: (reason: Error) => void = () => {};
  /** Ends the wait for each slot that another has. */
  private readonly awaited = new Map<string, AbortController>();
  private end = new AbortController();
  /** The mark of whoever holds the slot since it was taken. */
  private readonly owner = toHex(randomBytes(8));
  /** Writes wait for it while the page is frozen; it tells whether the slot is still this replica's. */
  private asleep: Promise<boolean> | undefined = undefined;
  private naps = 0;
  private isClosed = false;
  /** Resolves when the page that sleeps is told to wake up. */
  private awake = Promise.resolve();
  private thaw: (() => void) | undefined = undefined;
  /** What is under way: it would hold up all other tabs if the page were frozen over it. */
  private readonly open = new Set<IDBTransaction>();
  /** The steps of the log that are known here: what they tell of pools is in the pages that are made here. */
  private readonly known: KnownSteps = { upTo: -1, own: new Set() };
  /** Slots of tabs that are gone. Who looks after them may not be awake yet when the page is frozen. */
  private readonly orphans = new Set<IndexedDbStorage>();

  constructor(
    private db: IDBDatabase,
    private readonly name: string,
    private readonly slot: string,
    private release: () => void,
  ) {
    this.listen();
  }

  private listen(): void {
    const { db } = this;
    // Another tab erases the copy, or a newer package wants another format.
    db.onversionchange = ({ newVersion }) => {
      db.close();
      this.onLost(newVersion === null ? lostError("another tab") : newerError());
    };
    db.onclose = () => this.onLost(lostError("the browser"));
  }

  private begin(mode: IDBTransactionMode, durability: "strict" | "relaxed" = "relaxed"): IDBTransaction {
    const begun = this.db.transaction(STORES, mode, { durability });
    this.open.add(begun);
    for (const end of ["complete", "abort"]) begun.addEventListener(end, () => this.open.delete(begun));
    return begun;
  }

  async load(): Promise<Stored> {
    // Reading and taking the slot are one step: whoever had it before writes nothing between.
    const all = this.begin("readwrite");
    const ofSlot = blocksOf(this.slot);
    const taking = request(all.objectStore("replicas").get(this.slot)).then((found) => {
      const replica = readIdentity(found) ?? newIdentity();
      all.objectStore("replicas").put({ ...replica, owner: this.owner }, this.slot);
      return replica;
    });
    const [replica, confirmed, firsts, blocks] = await Promise.all([
      taking,
      readConfirmed(all),
      request(all.objectStore("outbox").getAllKeys(ofSlot)),
      request(all.objectStore("outbox").getAll(ofSlot)),
    ]);
    this.known.upTo = confirmed.upTo;
    return {
      replica,
      ...confirmed,
      blocks: blocks.map((block, index) => readBlock(block, (firsts[index] as [string, number])[1])),
    };
  }

  async reload(): Promise<Confirmed | undefined> {
    const found = await this.whileAwake(async () => {
      const found = await readConfirmed(this.begin("readonly"));
      await Promise.all(found.pages);
      return found;
    });
    if (found === "dispossessed") return undefined;
    this.known.upTo = found.upTo;
    return found;
  }

  write(batch: Batch): Promise<Verdict> {
    return this.whileAwake(() => this.writeAwake(batch));
  }

  private async whileAwake<T>(work: () => Promise<T>): Promise<T | "dispossessed"> {
    for (;;) {
      const { naps } = this;
      // No detour where it is awake: a page that goes may not come to it.
      if (this.asleep && !(await this.asleep.catch(() => false))) return "dispossessed";
      try {
        return await work();
      } catch (error) {
        // Given up by a page that was frozen: it is done when that wakes up.
        if (naps === this.naps) throw error;
      }
    }
  }

  private async writeAwake(batch: Batch): Promise<Verdict> {
    const writing = this.begin("readwrite", batch.blocks.length > 0 || batch.renumbered ? "strict" : "relaxed");
    const done = complete(writing);
    // Whatever fails in between aborts the transaction, which is what `done` then tells.
    done.catch(() => {});
    const isMixed = batch.checkpoint || batch.known || batch.steps.length > 0;
    const owning = isMixed || !hasSharedLocks() ? this.owns(writing) : true;
    if (owning !== true) owning.catch(() => {});
    const [verdict, own]: Written = isMixed ? await writeConfirmed(writing, batch, this.known) : ["stored", []];
    if (owning !== true && !(await owning)) {
      writing.abort();
      return "dispossessed";
    }
    if (verdict !== "gap") this.removeSettled(writing, batch);
    this.writeReplica(writing, batch, verdict);
    writing.commit();
    await done;
    for (const key of own) this.known.own.add(key);
    return verdict;
  }

  private async owns(using: IDBTransaction): Promise<boolean> {
    const found: unknown = await request(using.objectStore("replicas").get(this.slot));
    return (Object(found) as Partial<Owned>).owner === this.owner;
  }

  private writeReplica(writing: IDBTransaction, batch: Batch, verdict: Verdict): void {
    const outbox = writing.objectStore("outbox");
    if (batch.renumbered) outbox.delete(blocksOf(this.slot));
    for (const { first, ...row } of batch.blocks) outbox.put(row, [this.slot, first]);
    // With a gap the effect of what the account calls settled is not here; but blocks of another id are nothing without it.
    if (batch.replica && (batch.renumbered || verdict !== "gap")) {
      writing.objectStore("replicas").put({ ...batch.replica, owner: this.owner }, this.slot);
    }
  }

  private removeSettled(writing: IDBTransaction, batch: Batch): void {
    const outbox = writing.objectStore("outbox");
    for (const first of batch.gone) outbox.delete([this.slot, first]);
  }

  async watch(heirs: Heirs): Promise<void> {
    const { signal } = this.end;
    const replicas = this.begin("readonly").objectStore("replicas");
    const [slots, rows] = await Promise.all([request(replicas.getAllKeys()), request(replicas.getAll())]);
    if (signal.aborted) return;
    heirs.here(Uint8Array.from(rows.flatMap((row) => [...(readIdentity(row)?.id ?? [])])));
    for (const slot of slots as string[]) {
      if (slot === this.slot) continue;
      // Who waits asks anew: of a page that goes Chromium may pass the lock on only when a request leaves the queue.
      this.awaited.get(slot)?.abort();
      // A place that cannot be read any more is told by the next write.
      this.takeOver(slot, heirs).catch(() => {});
    }
  }

  private async takeOver(slot: string, heirs: Heirs): Promise<void> {
    const { signal } = this.end;
    const wait = new AbortController();
    const stopWaiting = () => wait.abort();
    signal.addEventListener("abort", stopWaiting);
    this.awaited.set(slot, wait);
    // Where nobody can tell whether a tab still runs, its place is only looked at.
    const release = hasSharedLocks() ? await awaitLock(`${this.name}#${slot}`, wait.signal) : () => {};
    signal.removeEventListener("abort", stopWaiting);
    if (this.awaited.get(slot) === wait) this.awaited.delete(slot);
    if (!release) return;
    try {
      // A page that is frozen over this comes to no end.
      signal.addEventListener("abort", release);
      const reading = this.begin("readonly");
      const [count, replica, confirmed] = await Promise.all([
        request(reading.objectStore("outbox").count(blocksOf(slot))),
        request(reading.objectStore("replicas").get(slot)),
        readKnown(reading),
      ]);
      if (count > 0 && !hasSharedLocks()) return;
      const db = count > 0 ? await openDatabase(this.name) : undefined;
      signal.removeEventListener("abort", release);
      if (signal.aborted) return db?.close();
      if (db) await this.handOver(new IndexedDbStorage(db, this.name, slot, release), heirs);
      else heirs.done(readIdentity(replica)?.id ?? new Uint8Array(), confirmed?.epoch, confirmed?.seq ?? 0);
    } finally {
      release();
    }
  }

  private async handOver(orphan: IndexedDbStorage, heirs: Heirs): Promise<void> {
    this.orphans.add(orphan);
    try {
      await heirs.adopt(orphan);
    } finally {
      this.orphans.delete(orphan);
      // Where a sleep has come between, it may have taken its place again for nobody.
      await orphan.close();
    }
  }

  sleep(): void {
    for (const orphan of this.orphans) orphan.sleep();
    this.open.forEach(giveUp);
    this.letGo();
    if (!this.thaw) this.awake = new Promise((resolve) => (this.thaw = resolve));
    if (this.asleep) return;
    this.naps += 1;
    this.asleep = this.takeAgain();
  }

  wake(): Promise<boolean> {
    for (const orphan of this.orphans) orphan.wake().catch(() => {});
    this.thaw?.();
    this.thaw = undefined;
    return this.asleep ?? Promise.resolve(true);
  }

  /** Takes the slot again, once the page is awake, if nobody else has taken it. */
  private async takeAgain(): Promise<boolean> {
    for (;;) {
      await this.awake;
      if (this.isClosed) return false;
      const { signal } = (this.end = new AbortController());
      const found = await this.lookAgain(signal).catch((error: unknown) => error);
      if (found === true && !signal.aborted) {
        this.asleep = undefined;
        return true;
      }
      const wasFrozen = signal.aborted;
      this.letGo();
      // The page was frozen over it, and all is given away again until it wakes up once more.
      if (wasFrozen) continue;
      if (found === false) return false;
      // Nobody else may speak under its id while it delivers what lies on a disk that it cannot read any more.
      const release = await tryLock(`${this.name}#${this.slot}`);
      if (!release) return false;
      this.release = release;
      throw Object(found).name === "AbortError" ? lostError("another tab") : found;
    }
  }

  private async lookAgain(signal: AbortSignal): Promise<boolean> {
    this.db = await openDatabase(this.name, true);
    if (signal.aborted) return false;
    this.listen();
    // Its mark tells at once that somebody else goes on here; a lock may be held by who just looks in.
    if (!(await this.isStillOurs())) return false;
    // It is not waited for in a queue, where a frozen page may still get it.
    const end = stopwatch() + LOOK_IN_MS;
    for (let isLast = false; !signal.aborted; ) {
      const release = await tryLock(`${this.name}#${this.slot}`);
      if (release) {
        this.release = release;
        return this.isStillOurs();
      }
      if (isLast) return false;
      // In a hidden page this may take a second.
      await new Promise<void>((resolve) => after(LOOK_AGAIN_MS, resolve));
      isLast = stopwatch() >= end;
    }
    return false;
  }

  private isStillOurs(): Promise<boolean> {
    return this.owns(this.begin("readonly"));
  }

  async moveOut(): Promise<Storage> {
    const next = await openIn(this.name, freshSlot);
    const taking = next.db.transaction("replicas", "readwrite", { durability: "relaxed" });
    taking.objectStore("replicas").put({ owner: next.owner }, next.slot);
    await complete(taking);
    return next;
  }

  forsake(): void {
    this.end.abort();
    this.db.onversionchange = null;
    this.db.onclose = null;
    this.db.close();
  }

  async discard(): Promise<void> {
    const writing = this.begin("readwrite");
    const done = complete(writing);
    done.catch(() => {});
    if (await this.owns(writing)) writing.objectStore("outbox").delete(blocksOf(this.slot));
    await done;
  }

  close(): Promise<void> {
    this.isClosed = true;
    this.letGo();
    return Promise.resolve();
  }

  /** The page is frozen before anybody lives here. */
  abandon(): void {
    this.open.forEach(giveUp);
    void this.close();
  }

  /** Leaves the place to others. */
  private letGo(): void {
    this.forsake();
    this.release();
    this.release = () => {};
  }
}
