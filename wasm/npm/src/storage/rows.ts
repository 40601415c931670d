// Rows of the database as they are found: of any format, torn, or not ours at all. Checksums judge them later.

import type { Block, Identity, Page, Step, Sum } from "./storage.js";

/** The bytes that should be there, or none. */
export const bytesIn = (found: unknown): Uint8Array => (found instanceof Uint8Array ? found : new Uint8Array());

/** In format 1 a page is its bytes, in format 2 there is a checksum beside them. */
export function readPage(row: unknown): Page {
  if (row instanceof Uint8Array) return { bytes: row, isSealed: false, sum: undefined };
  const { bytes, sealed, sum } = Object(row) as { bytes?: unknown; sealed?: unknown; sum?: Sum };
  return { bytes: bytesIn(sealed ?? bytes), isSealed: sealed !== undefined, sum };
}

export function readStep(row: unknown): Step {
  const { from = 0, to = 0, frames, sums = [] } = Object(row) as Partial<Step>;
  return { from, to, frames: Array.isArray(frames) ? frames.map(bytesIn) : [bytesIn(undefined)], sums };
}

export function readBlock(row: unknown, first: number): Block {
  const { last = first, bytes, sum } = Object(row) as Partial<Block>;
  return { first, last, bytes: bytesIn(bytes), sum };
}

export function readIdentity(row: unknown): Identity | undefined {
  const { id, spare, account, sum, primary, contact } = Object(row) as Partial<Identity>;
  if (bytesIn(id).length !== 16 || bytesIn(spare).length !== 16) return undefined;
  return { id: bytesIn(id), spare: bytesIn(spare), account: account && bytesIn(account), sum, primary, contact };
}
