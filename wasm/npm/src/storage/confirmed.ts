// The confirmed part of a local copy, which all tabs share: what is known of the datastore, its records in pages, and the
// frames that lead on from them.
//
// Frames are appended only where the stored seq is the one they begin at, so that tabs that hear the same store it once. A
// row per record would be ten times slower to read.

import { PAGES_FIRST, PAGES_TOGETHER } from "../limits.js";
import { request } from "./database.js";
import { bytesIn, isOfPool, readPage, readStep, type Known, type KnownRow, type Page, type Step } from "./rows.js";
import type { Batch, Checkpoint, Confirmed, Verdict } from "./storage.js";

const CONFIRMED = "confirmed";

/** Steps of the log that a replica has read, up to a key, and those that it has written. */
export interface KnownSteps {
  upTo: number;
  readonly own: Set<number>;
}

/** What is known of the datastore. */
export const readKnown = (using: IDBTransaction): Promise<KnownRow | undefined> =>
  request(using.objectStore("meta").get(CONFIRMED) as IDBRequest<KnownRow | undefined>);

/** Reads all of it; pages go on coming afterwards. */
export async function readConfirmed(all: IDBTransaction): Promise<Confirmed & { readonly upTo: number }> {
  const pages = all.objectStore("pages");
  // They come before it is known how many there are, and the core has something to do.
  const first = partOf(pages, 0, PAGES_FIRST);
  const [confirmed, parts, rows] = await Promise.all([
    readKnown(all),
    request(pages.count()).then((count) => partsOf(pages, count)),
    request(all.objectStore("log").getAll()),
  ]);
  const steps = rows.map(readStep);
  return {
    known: confirmed && { ...confirmed, info: bytesIn(confirmed.info) },
    stamp: confirmed?.stamp,
    pages: [first, ...parts],
    steps,
    upTo: (confirmed?.next ?? 0) - 1,
    logBytes: steps.reduce((sum, { frames }) => frames.reduce((sum, frame) => sum + frame.length, sum), 0),
  };
}

/** Asks for all pages but the first at once: the disk goes on to the next ones while those are restored. */
function partsOf(pages: IDBObjectStore, count: number): Promise<Page[]>[] {
  const parts: Promise<Page[]>[] = [];
  let end = PAGES_FIRST;
  do {
    const begin = end;
    end += PAGES_TOGETHER;
    // Where one is missing in between, the last ones are beyond the count.
    parts.push(partOf(pages, begin, end < count ? end : Infinity));
  } while (end < count);
  return parts;
}

function partOf(pages: IDBObjectStore, begin: number, end: number): Promise<Page[]> {
  const part = request(pages.getAll(IDBKeyRange.bound(begin, end, false, true))).then((rows) => rows.map(readPage));
  // Whoever has found damage before takes no more of them.
  part.catch(() => {});
  return part;
}

/** What became of a batch, and the keys of the steps of pools that were put into the log. */
export type Written = readonly [verdict: Verdict, own: readonly number[]];

/** Stores the confirmed part of a batch, as far as it fits to what is there. */
export async function writeConfirmed(writing: IDBTransaction, batch: Batch, steps: KnownSteps): Promise<Written> {
  const log = writing.objectStore("log");
  const before = await readKnown(writing);
  let next = before?.next ?? (await keyAfterAll(log));
  let row = before && { ...before, next };
  let verdict: Verdict = "stored";
  if (batch.checkpoint) {
    const { known, onto, overrules, seen, over } = batch.checkpoint;
    const isSameLife = row?.epoch === known.epoch;
    const ahead = isSameLife && row ? row.seq - known.seq : -1;
    if (row?.epoch !== undefined && !isSameLife && !over.has(row.epoch)) return ["gap", []];
    if (onto !== undefined && row?.stamp !== onto) verdict = ahead >= 0 ? "behind" : "gap";
    else if (onto === undefined && ahead > 0 && !overrules) verdict = "behind";
    else if (onto === undefined && isSameLife && row?.stamp !== seen) return ["gap", []];
    else row = { ...(await writeCheckpoint(writing, batch.checkpoint, row, steps)), next };
  }
  const own: number[] = [];
  for (const step of batch.steps) {
    const moves = !isOfPool(step);
    if (moves && row && row.epoch === batch.epoch && step.to <= row.seq) continue;
    if (!row || row.epoch !== batch.epoch || (moves && step.from !== row.seq)) {
      verdict = "gap";
      break;
    }
    // Behind all that are there, those of other tabs among them.
    log.put(step, next);
    if (moves) row = { ...row, seq: step.to };
    else own.push(next);
    next += 1;
  }
  const { known } = batch;
  const isNews = known && (!row || (row.epoch === known.epoch && row.seq === known.seq));
  if (isNews) row = { ...known, stamp: row?.stamp, next };
  if (row) writing.objectStore("meta").put({ ...row, next }, CONFIRMED);
  return [verdict, own];
}

async function writeCheckpoint(
  writing: IDBTransaction,
  { known, pages, pageCount, onto, stamp }: Checkpoint,
  row: Known | undefined,
  { upTo, own }: KnownSteps,
): Promise<Known & { readonly stamp: string }> {
  const store = writing.objectStore("pages");
  if (onto === undefined) store.clear();
  else store.delete(IDBKeyRange.lowerBound(pageCount));
  for (const [index, sealed] of pages) store.put({ sealed }, index);
  const log = writing.objectStore("log");
  if (row?.epoch !== known.epoch) {
    log.clear();
    own.clear();
    return { ...known, stamp };
  }
  // What came while the pages were encoded is still needed: some of them were made before it. So is what another tab has
  // stored of pools, whose items are in no page that is made here.
  const [keys, found] = await Promise.all([request(log.getAllKeys()), request(log.getAll() as IDBRequest<Step[]>)]);
  found.forEach((step, index) => {
    const key = keys[index] as number;
    const isHere = !isOfPool(step) || key <= upTo || own.has(key);
    if (!isHere || (onto !== undefined && step.to > known.seq)) return;
    log.delete(key);
    own.delete(key);
  });
  return { ...known, seq: onto === undefined ? known.seq : Math.max(known.seq, row.seq), stamp };
}

/** The key behind all steps, for a row that does not tell it. */
async function keyAfterAll(log: IDBObjectStore): Promise<number> {
  const last = await request(log.openKeyCursor(null, "prev"));
  return last ? (last.key as number) + 1 : 0;
}
