// Rows of the database: what is written there, and how that is read where it may be of any format, torn, or not ours at all.
// Checksums judge it later.

import { randomBytes } from "../dice.js";

/** A row of the outbox: mutations from `first` to `last`, in the core's own bytes. */
export interface Block {
  readonly first: number;
  readonly last: number;
  readonly bytes: Uint8Array;
  readonly sum: Sum;
}

/** The core's checksum of bytes. What format 1 stored has none. */
export type Sum = number | undefined;

/** A page of confirmed records. The core has sealed it, or it was stored by an older package, with a checksum. */
export interface Page {
  readonly bytes: Uint8Array;
  readonly isSealed: boolean;
  readonly sum: Sum;
}

/** Frames that lead from one seq to another: a delta, or all pages of a catch-up. */
export interface Step {
  readonly from: number;
  readonly to: number;
  readonly frames: readonly Uint8Array[];
  readonly sums: readonly Sum[];
}

/** Whether a step is of a pool, which counts its own seqs, or outcomes alone: it does not move the datastore's seq. */
export const isOfPool = ({ from, to }: Step): boolean => from === to;

/** What is known of the datastore, at a seq. */
export interface Known {
  readonly seq: number;
  readonly epoch: string;
  readonly info: Uint8Array;
  readonly sum: Sum;
}

/** The row of the records: what is known of them, and of what lies beside it. */
export interface KnownRow extends Known {
  /** Names the pages. */
  readonly stamp: string | undefined;
  /** The key of the next step of the log: none is given twice. Missing where an older package has stored the row. */
  readonly next: number | undefined;
}

/** Who a replica is. */
export interface Identity {
  /** 16 bytes, nobody else's business. */
  readonly id: Uint8Array;
  readonly spare: Uint8Array;
  /** What the core wants to have stored of it. */
  readonly account?: Uint8Array | undefined;
  readonly sum?: Sum;
  /** The primary field of what it has pending; `undefined` where an older package stored it. */
  readonly primary?: string | undefined;
  /** When it last met the relay, in milliseconds since 1970. */
  readonly contact?: number | undefined;
}

/** A replica's row: its place on the disk belongs to whoever has left a mark there last. */
export interface Owned extends Identity {
  readonly owner: string;
}

/** A replica that nobody was before. */
export const newIdentity = (): Identity => ({ id: randomBytes(16), spare: randomBytes(16) });

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
