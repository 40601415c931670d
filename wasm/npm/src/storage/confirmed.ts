// The confirmed part of a local copy, which all tabs share: what is known of the datastore, its records in pages, and the
// frames that lead on from them.
//
// Frames are appended only where the stored seq is the one they begin at, so that tabs that hear the same store it once. A
// row per record would be ten times slower to read.

import { PAGES_FIRST, PAGES_TOGETHER } from "../limits.js";
import { request } from "./database.js";
import { bytesIn, readPage, readStep } from "./rows.js";
import type { Batch, Checkpoint, Confirmed, Known, Page, Step, Verdict } from "./storage.js";

const CONFIRMED = "confirmed";

type Row = Known & {
  readonly stamp: string | undefined;
  /** The key of the next step: none is given twice. Missing where an older package has stored it. */
  readonly next?: number | undefined;
};

/** Steps of the log that a replica has read, up to a key, and those that it has written. */
export interface KnownSteps {
  upTo: number;
  readonly own: Set<number>;
}

/** What is known of the datastore. */
export const readKnown = (using: IDBTransaction): Promise<Row | undefined> =>
  request(using.objectStore("meta").get(CONFIRMED) as IDBRequest<Row | undefined>);

/** Reads all of it; pages go on coming afterwards. */
export async function readConfirmed(all: IDBTransaction): Promise<Confirmed & { readonly upTo: number }> {
  const pages = all.objectStore("pages");
  // They come before it is known how many there are, and the core has something to do.
  const first = partOf(pages, 0, PAGES_FIRST);
  const log = all.objectStore("log");
  const [confirmed, parts, rows, keys] = await Promise.all([
    readKnown(all),
    request(pages.count()).then((count) => partsOf(pages, count)),
    request(log.getAll()),
    request(log.getAllKeys()),
  ]);
  const steps = rows.map(readStep);
  return {
    known: confirmed && { ...confirmed, info: bytesIn(confirmed.info) },
    stamp: confirmed?.stamp,
    pages: [first, ...parts],
    steps,
    upTo: (keys.at(-1) as number | undefined) ?? -1,
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

/** Stores the confirmed part of a batch, as far as it fits to what is there. */
export async function writeConfirmed(
  writing: IDBTransaction,
  batch: Batch,
  steps: KnownSteps,
  appended: number[],
): Promise<Verdict> {
  let row = await readKnown(writing);
  let verdict: Verdict = "stored";
  if (batch.checkpoint) {
    const { known, onto, overrules, seen } = batch.checkpoint;
    const ahead = row?.epoch === known.epoch ? row.seq - known.seq : -1;
    if (onto !== undefined && row?.stamp !== onto) verdict = ahead >= 0 ? "behind" : "gap";
    else if (onto === undefined && ahead > 0 && !overrules) verdict = "behind";
    else if (onto === undefined && row?.epoch === known.epoch && row.stamp !== seen) return "gap";
    else row = await writeCheckpoint(writing, batch.checkpoint, row, steps);
  }
  for (const step of batch.steps) {
    // News of pools, which count their own seqs, do not move the datastore's.
    const moves = step.to > step.from;
    if (moves && row && row.epoch === batch.epoch && step.to <= row.seq) continue;
    if (!row || row.epoch !== batch.epoch || (moves && step.from !== row.seq)) {
      verdict = "gap";
      break;
    }
    const key = await append(writing.objectStore("log"), step, row.next ?? 0);
    if (!moves) appended.push(key);
    row = { ...row, seq: moves ? step.to : row.seq, next: key + 1 };
  }
  const { known } = batch;
  const isNews = known && (!row || (row.epoch === known.epoch && row.seq === known.seq));
  if (isNews) row = { ...known, stamp: row?.stamp, next: row?.next };
  if (row) writing.objectStore("meta").put(row, CONFIRMED);
  return verdict;
}

async function writeCheckpoint(
  writing: IDBTransaction,
  { known, pages, pageCount, onto, stamp }: Checkpoint,
  row: Row | undefined,
  { upTo, own }: KnownSteps,
): Promise<Row> {
  const store = writing.objectStore("pages");
  if (onto === undefined) store.clear();
  else store.delete(IDBKeyRange.lowerBound(pageCount));
  for (const [index, sealed] of pages) store.put({ sealed }, index);
  // What came while the pages were encoded is still needed: some of them were made before it. So is what another tab has
  // stored of pools, whose items are in no page that is made here.
  const log = writing.objectStore("log");
  const isSameLife = row?.epoch === known.epoch;
  const [keys, found] = await Promise.all([request(log.getAllKeys()), request(log.getAll() as IDBRequest<Step[]>)]);
  found.forEach(({ from, to }, index) => {
    const key = keys[index] as number;
    const isKnown = from < to || key <= upTo || own.has(key);
    if (isSameLife && !(isKnown && (onto === undefined || to <= known.seq))) return;
    log.delete(key);
    own.delete(key);
  });
  const seq = onto === undefined ? known.seq : Math.max(known.seq, row?.seq ?? 0);
  return { ...known, seq, stamp, next: Math.max(row?.next ?? 0, ((keys.at(-1) as number | undefined) ?? -1) + 1) };
}

/** Puts a step behind all that are there, those of other tabs among them: under which key. */
async function append(log: IDBObjectStore, step: Step, next: number): Promise<number> {
  const last = await request(log.openKeyCursor(null, "prev"));
  const key = Math.max(next, last ? (last.key as number) + 1 : 0);
  log.put(step, key);
  return key;
}
