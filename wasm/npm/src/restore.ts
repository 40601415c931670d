// From what a disk gives back to a core that goes on with it.

import { soon, stopwatch } from "./clock.js";
import type { Core } from "./core.js";
import { NeapError } from "./errors.js";
import { isFieldName } from "./key.js";
import { SLICE_MS } from "./limits.js";
import { isOfPool, newIdentity, type Identity, type Sum } from "./storage/rows.js";
import type { Confirmed, Stored } from "./storage/storage.js";

/** What of the stored still counts when a core has it. */
export interface Found extends Omit<Stored, "pages"> {
  readonly isDamaged: boolean;
  readonly pageBytes: number;
}

export interface Restored {
  readonly core: Core;
  readonly stored: Found;
  /** What the app must hear of. */
  readonly damages: readonly NeapError[];
}

/**
 * Gives a core back what was stored of it, and lets the page have its turns meanwhile. Records that are of no use are
 * fetched again; the outbox counts in any case.
 */
export async function restore(make: (replica: Identity) => Core, found: Stored): Promise<Restored> {
  const { blocks } = found;
  let { replica } = found;
  let core = make(replica);
  const { account, sum } = replica;
  const isKnown = !account || (holds(core.ownChecksum(account, 0, 0), sum) && core.restoreAccount(account));
  // Of a replica that has nothing to say nothing is lost when another goes on.
  if (!isKnown && blocks.length === 0) core = make((replica = newIdentity()));
  if (blocks[0] && !(account && isKnown)) core.restoreWithoutAccount(blocks[0].first);
  if (blocks.length > 0 && isFieldName(replica.primary)) core.restorePrimary(replica.primary);
  const pageBytes = await restoreRecords(core, found);
  const isDamaged = pageBytes === undefined;
  if (isDamaged) core.dropRecords();
  const lost = restoreOutbox(core, found);
  core.restored();
  const damages: NeapError[] = [];
  if (isDamaged)
    damages.push(new NeapError("storage-damaged", "stored records could not be read and are fetched again"));
  if (lost > 0)
    damages.push(new NeapError("outbox-damaged", `edits that wait on the disk cannot be read and may be lost: ${lost}; all others are kept`));
  return { core, stored: { ...found, replica, isDamaged, pageBytes: pageBytes ?? 0 }, damages };
}

const holds = (made: number, sum: Sum): boolean => sum === undefined || sum === made;

/** Gives how many bytes the pages have, or nothing where the records are of no use. */
async function restoreRecords(core: Core, { known, pages, steps }: Confirmed): Promise<number | undefined> {
  let pageBytes = 0;
  if (!known) return pageBytes;
  if (!holds(core.checksum(known.info, 0, 0), known.sum) || !core.restoreInfo(known.info)) return undefined;
  const pause = slices();
  let index = 0;
  for (const part of pages) {
    for (const { bytes, isSealed, sum } of await part) {
      const isTaken = isSealed ? core.restorePage(bytes) : holds(core.checksum(bytes, index, 0), sum) && core.restoreRows(bytes);
      if (!isTaken) return undefined;
      index += 1;
      pageBytes += bytes.length;
      await pause();
    }
  }
  for (const { from, to, frames, sums } of steps) {
    for (const [index, frame] of frames.entries()) {
      if (!holds(core.checksum(frame, from, to), sums[index]) || !core.restoreFrame(frame)) return undefined;
      await pause();
    }
  }
  return pageBytes;
}

/**
 * Gives a core that runs the items of pools that other tabs have stored, as far as they can be read. `false`: they are of another
 * life than its records.
 */
export async function adoptPools(core: Core, { known, pages, steps }: Confirmed): Promise<boolean> {
  const parts = await Promise.all(pages);
  if (known?.epoch !== core.epoch() || !core.info()) return false;
  parts.flat().forEach(({ bytes, isSealed }, place) => isSealed && core.adoptPage(bytes, place));
  for (const { from, to, frames, sums } of steps.filter(isOfPool))
    frames.forEach((frame, index) => holds(core.checksum(frame, from, to), sums[index]) && core.adoptFrame(frame));
  core.adopted();
  return true;
}

/** Gives what is to be awaited between pieces of work that would hold up the page together. */
function slices(): () => Promise<void> | undefined {
  let end = stopwatch() + SLICE_MS;
  return () => {
    if (stopwatch() < end) return undefined;
    return new Promise((resolve) =>
      soon(() => {
        end = stopwatch() + SLICE_MS;
        resolve();
      }),
    );
  };
}

/** Gives how many mutations cannot be taken back. What stands behind them keeps its turns. */
function restoreOutbox(core: Core, { blocks }: Stored): number {
  let lost = 0;
  for (const { first, last, bytes, sum } of blocks) {
    lost += core.restoreGap(first - 1);
    if (holds(core.ownChecksum(bytes, first, last), sum)) core.restoreBlock(first, bytes);
    lost += core.restoreGap(last);
  }
  return lost;
}
