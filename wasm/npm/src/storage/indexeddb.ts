// A datastore's local copy in IndexedDB, shared by all tabs of one user.
//
//   meta     "confirmed" → seq, epoch and info of the records, and the stamp of their pages
//   pages    index → records, as many as 1024 together
//   log      counter → frames that lead on from the pages
//   replicas slot → who a replica is and what it knows of itself
//   outbox   [slot, first turn] → its mutations without an answer
//
// Frames are appended only where the stored seq is the one they begin at, so that tabs that hear the same
// store it once. A row per record would be ten times slower to read.

import { randomBytes, toHex } from "../dice.js";
import { awaitLock, hasSharedLocks, tryLock } from "./slots.js";
import { bytesIn, readBlock, readIdentity, readPage, readStep } from "./rows.js";
import { newIdentity, type Batch, type Identity, type Known, type Step, type Storage, type Stored, type Verdict } from "./storage.js";
import { blockedError, lostError, newerError } from "./trouble.js";

// Rows of format 1 have no checksums; they get them when they are written again.
const FORMAT = 2;
const STORES = ["meta", "pages", "log", "replicas", "outbox"] as const;
const CONFIRMED = "confirmed";

type Confirmed = Known & { readonly stamp: string | undefined };

/** Opens the database `name`, makes it where there is none, and takes a slot in it. */
export async function openIndexedDb(name: string): Promise<IndexedDbStorage> {
  const db = await openDatabase(name);
  try {
    const [slot, release] = await takeSlot(db, name);
    return new IndexedDbStorage(db, name, slot, release);
  } catch (error) {
    db.close();
    throw error;
  }
}

function openDatabase(name: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(name, FORMAT);
    opening.onupgradeneeded = ({ oldVersion }) => {
      if (oldVersion === 0) for (const store of STORES) opening.result.createObjectStore(store);
    };
    // Who was blocked is in memory by then, and would only be in the way of others.
    let isLate = false;
    opening.onsuccess = () => (isLate ? opening.result.close() : resolve(opening.result));
    opening.onerror = () => reject(opening.error?.name === "VersionError" ? newerError() : opening.error);
    opening.onblocked = () => {
      isLate = true;
      reject(blockedError());
    };
  });
}

/** Takes an idle replica, rather one that still has something to say, or makes a new one. */
async function takeSlot(db: IDBDatabase, name: string): Promise<[slot: string, release: () => void]> {
  const reading = db.transaction(["replicas", "outbox"]);
  const [slots, blocks] = await Promise.all([
    request(reading.objectStore("replicas").getAllKeys()),
    request(reading.objectStore("outbox").getAllKeys()),
  ]);
  const busy = new Set(blocks.map((key) => (key as [string, number])[0]));
  const known = (slots as string[]).sort((a, b) => Number(busy.has(b)) - Number(busy.has(a)));
  for (const slot of hasSharedLocks() ? known : []) {
    const release = await tryLock(`${name}#${slot}`);
    if (release) return [slot, release];
  }
  const slot = toHex(randomBytes(8));
  const release = await tryLock(`${name}#${slot}`);
  if (!release) throw new Error("no lock for a new replica");
  return [slot, release];
}

export class IndexedDbStorage implements Storage {
  readonly kind = "indexeddb";
  onLost: (reason: Error) => void = () => {};
  private nextLog = 0;
  private readonly awaited = new Set<string>();
  private readonly end = new AbortController();

  constructor(
    private readonly db: IDBDatabase,
    private readonly name: string,
    private readonly slot: string,
    private readonly release: () => void,
  ) {
    // Another tab erases the copy, or a newer package wants another format.
    db.onversionchange = ({ newVersion }) => {
      db.close();
      this.onLost(newVersion === null ? lostError("another tab") : newerError());
    };
    db.onclose = () => this.onLost(lostError("the browser"));
  }

  async load(): Promise<Stored> {
    const all = this.db.transaction(STORES);
    const ofSlot = IDBKeyRange.bound([this.slot], [this.slot, []]);
    const [replica, confirmed, pages, steps, firsts, blocks] = await Promise.all([
      request(all.objectStore("replicas").get(this.slot)),
      request(all.objectStore("meta").get(CONFIRMED) as IDBRequest<Confirmed | undefined>),
      request(all.objectStore("pages").getAll()),
      request(all.objectStore("log").getAll()),
      request(all.objectStore("outbox").getAllKeys(ofSlot)),
      request(all.objectStore("outbox").getAll(ofSlot)),
    ]);
    const read = steps.map(readStep);
    return {
      replica: readIdentity(replica) ?? (await this.introduce()),
      known: confirmed && { ...confirmed, info: bytesIn(confirmed.info) },
      stamp: confirmed?.stamp,
      pages: pages.map(readPage),
      steps: read,
      blocks: blocks.map((block, index) => readBlock(block, (firsts[index] as [string, number])[1])),
      logBytes: read.reduce((sum, { frames }) => frames.reduce((sum, frame) => sum + frame.length, sum), 0),
    };
  }

  /** A replica must be known here before it is known anywhere. */
  private async introduce(): Promise<Identity> {
    const row = newIdentity();
    const writing = this.db.transaction("replicas", "readwrite", { durability: "strict" });
    writing.objectStore("replicas").put(row, this.slot);
    await complete(writing);
    return row;
  }

  async write(batch: Batch): Promise<Verdict> {
    const durability = batch.blocks.length > 0 || batch.renumbered ? "strict" : "relaxed";
    const writing = this.db.transaction(STORES, "readwrite", { durability });
    const done = complete(writing);
    // Whatever fails in between aborts the transaction, which is what `done` then tells.
    done.catch(() => {});
    const verdict = await this.writeConfirmed(writing, batch);
    if (verdict !== "gap") this.removeSettled(writing, batch);
    this.writeReplica(writing, batch, verdict);
    writing.commit();
    await done;
    return verdict;
  }

  private writeReplica(writing: IDBTransaction, batch: Batch, verdict: Verdict): void {
    const outbox = writing.objectStore("outbox");
    if (batch.renumbered) outbox.delete(IDBKeyRange.bound([this.slot], [this.slot, []]));
    for (const { first, ...row } of batch.blocks) outbox.put(row, [this.slot, first]);
    // With a gap the effect of what the account calls settled is not here.
    if (batch.replica && verdict !== "gap") {
      writing.objectStore("replicas").put(batch.replica, this.slot);
    }
  }

  private removeSettled(writing: IDBTransaction, batch: Batch): void {
    const outbox = writing.objectStore("outbox");
    for (const first of batch.gone) outbox.delete([this.slot, first]);
  }

  private async writeConfirmed(writing: IDBTransaction, batch: Batch): Promise<Verdict> {
    if (!batch.checkpoint && !batch.known && batch.steps.length === 0) return "stored";
    const meta = writing.objectStore("meta");
    let row = await request(meta.get(CONFIRMED) as IDBRequest<Confirmed | undefined>);
    let verdict: Verdict = "stored";
    if (batch.checkpoint) {
      const { known, onto, overrules, stamp } = batch.checkpoint;
      const ahead = row?.epoch === known.epoch ? row.seq - known.seq : -1;
      if (onto !== undefined && row?.stamp !== onto) verdict = ahead >= 0 ? "behind" : "gap";
      else if (onto === undefined && ahead > 0 && !overrules) verdict = "behind";
      else row = await this.writeCheckpoint(writing, batch.checkpoint, row, stamp);
    }
    for (const step of batch.steps) {
      // News of pools, which count their own seqs, do not move the datastore's.
      const moves = step.to > step.from;
      if (moves && row && row.epoch === batch.epoch && step.to <= row.seq) continue;
      if (!row || row.epoch !== batch.epoch || (moves && step.from !== row.seq)) {
        verdict = "gap";
        break;
      }
      writing.objectStore("log").put(step, await this.logKey(writing));
      if (moves) row = { ...row, seq: step.to };
    }
    const { known } = batch;
    const isNews = known && (!row || (row.epoch === known.epoch && row.seq === known.seq));
    if (isNews) row = { ...known, stamp: row?.stamp };
    if (row) meta.put(row, CONFIRMED);
    return verdict;
  }

  private async writeCheckpoint(
    writing: IDBTransaction,
    { known, pages, pageCount, onto }: NonNullable<Batch["checkpoint"]>,
    row: Confirmed | undefined,
    stamp: string,
  ): Promise<Confirmed> {
    const store = writing.objectStore("pages");
    if (onto === undefined) store.clear();
    else store.delete(IDBKeyRange.lowerBound(pageCount));
    for (const [index, page] of pages) store.put(page, index);
    // What came while the pages were encoded is still needed: some of them were made before it.
    const log = writing.objectStore("log");
    let seq = known.seq;
    if (onto === undefined) log.clear();
    else {
      const [keys, steps] = await Promise.all([
        request(log.getAllKeys()),
        request(log.getAll() as IDBRequest<Step[]>),
      ]);
      steps.forEach((step, index) => {
        if (step.to <= known.seq) log.delete(keys[index] as IDBValidKey);
      });
      seq = Math.max(seq, row?.seq ?? 0);
    }
    return { ...known, seq, stamp };
  }

  /** Keys of the log grow, also over those of other tabs. */
  private async logKey(writing: IDBTransaction): Promise<number> {
    const cursor = await request(writing.objectStore("log").openKeyCursor(null, "prev"));
    this.nextLog = Math.max(this.nextLog, cursor ? (cursor.key as number) + 1 : 0);
    return this.nextLog++;
  }

  async watch(adopt: (orphan: Storage) => Promise<void>): Promise<void> {
    const slots = await request(this.db.transaction("replicas").objectStore("replicas").getAllKeys());
    for (const slot of slots as string[]) {
      if (slot === this.slot || this.awaited.has(slot)) continue;
      this.awaited.add(slot);
      // A place that cannot be read any more is told by the next write.
      this.takeOver(slot, adopt).catch(() => {});
    }
  }

  private async takeOver(slot: string, adopt: (orphan: Storage) => Promise<void>): Promise<void> {
    const release = await awaitLock(`${this.name}#${slot}`, this.end.signal);
    this.awaited.delete(slot);
    if (!release) return;
    try {
      const outbox = this.db.transaction("outbox").objectStore("outbox");
      if ((await request(outbox.count(IDBKeyRange.bound([slot], [slot, []])))) > 0) {
        await adopt(new IndexedDbStorage(await openDatabase(this.name), this.name, slot, release));
      }
    } finally {
      release();
    }
  }

  close(): Promise<void> {
    this.end.abort();
    this.db.onversionchange = null;
    this.db.onclose = null;
    this.db.close();
    this.release();
    return Promise.resolve();
  }

  async erase(): Promise<void> {
    await this.close();
    await new Promise<void>((resolve, reject) => {
      const erasing = indexedDB.deleteDatabase(this.name);
      erasing.onsuccess = () => resolve();
      erasing.onerror = () => reject(erasing.error);
      // Other tabs give it free as soon as they hear of it; then it goes on to success.
    });
  }
}

function request<T>(asked: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}

function complete(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error("a transaction was given up"));
  });
}
