// What the Rust binding in `wasm/src` provides, as the package calls it.

import type { Op } from "./api.js";

/** How an op changes a record. */
export const SET = 0;
export const PATCH = 1;
export const DELETE = 2;
export type OpKind = typeof SET | typeof PATCH | typeof DELETE;

/** What must hold for an op at the relay. */
export const ALWAYS = 0;
export const IF_SEQ = 1;
export const IF_ABSENT = 2;
export const IF_PRESENT = 3;
export type ConditionKind = typeof ALWAYS | typeof IF_SEQ | typeof IF_ABSENT | typeof IF_PRESENT;

/** What the core reports of a collection's changes. */
export const WATCH_NOTHING = 0;
export const WATCH_KEYS = 1;
export const WATCH_RECORDS = 2;
export type Watch = typeof WATCH_NOTHING | typeof WATCH_KEYS | typeof WATCH_RECORDS;

/** Phases of a connection as the core sees them. */
export const OFFLINE = 0;
export const GREETING = 1;
export const CATCHING_UP = 2;
export const LIVE = 3;
export const STOPPED = 4;

/** What is to be done with the frame that was just received. */
export const JOURNAL_NOTHING = 0;
export const JOURNAL_FRAME = 1;
export const JOURNAL_PAGES = 2;
export const JOURNAL_CHECKPOINT = 3;

/** The replica of one datastore, in wasm. Texts are JSON where a name says so, times are milliseconds since 1970. */
export interface Core {
  // What is stored comes back, in this order, before anything else. `false`: the bytes could not be read.
  restoreAccount(bytes: Uint8Array): boolean;
  restoreInfo(bytes: Uint8Array): boolean;
  restorePage(bytes: Uint8Array): boolean;
  /** A page as older packages have stored it. */
  restoreRows(bytes: Uint8Array): boolean;
  restoreFrame(bytes: Uint8Array): boolean;
  dropRecords(): void;
  restoreBlock(first: number, bytes: Uint8Array): boolean;
  /** Stands in for an account that cannot be read, where the outbox begins at turn `first`. */
  restoreWithoutAccount(first: number): void;
  /** Puts empty mutations in the place of those up to `last` that cannot be taken back: how many. */
  restoreGap(last: number): number;
  restored(): void;

  // Under these bytes are stored: what all replicas of a place share, and what is this replica's own.
  checksum(bytes: Uint8Array, from: number, to: number): number;
  ownChecksum(bytes: Uint8Array, first: number, last: number): number;

  // Writes. A turn below zero is minus an error's number; where no turn is given, 0 is none.
  setMany(collection: string, jsonArray: string): number;
  mutate(kind: OpKind, collection: string, key: string, json: string, condition: ConditionKind, seq: number): number;
  begin(): void;
  /** As long as nothing else comes with them, they are shown by the caller: no changes come out. */
  sets(collection: string, jsonArray: string): number;
  op(kind: OpKind, collection: string, key: string, json: string, condition: ConditionKind, seq: number): number;
  draftGet(collection: string, key: string): string | undefined;
  /** What was begun undoes a pending mutation: whether nobody is known to have come in between. */
  undo(turn: number): boolean;
  commit(): number;
  abort(): void;
  lastTurn(): number;

  // Pools, by their marked names; their items are read like records, under their identities.
  /** Whether it is open with these terms; those that are left out fit any. */
  openPool(pool: string, primary?: string, retain?: string): boolean;
  add(pool: string, jsonArray: string): number;
  identify(pool: string, json: string): string | undefined;
  convergence(pool: string): string | undefined;

  // Reads of the view.
  get(collection: string, key: string): string | undefined;
  has(collection: string, key: string): boolean;
  size(collection: string): number;
  metaSeq(collection: string, key: string): number;
  metaPending(collection: string, key: string): boolean;
  dumpBegin(collection: string): void;
  dumpNext(): string | undefined;
  watch(collection: string, level: Watch): void;

  // Outputs. After each input: changes and events, then what goes to the disk, then frames and notes.
  changes(): string | undefined;
  events(): string | undefined;
  block(): Uint8Array | undefined;
  /** Additions for the log of which nothing else there tells. */
  unseen(): Uint8Array | undefined;
  blockFirst(): number;
  blockLast(): number;
  journal(): number;
  frame(): Uint8Array | undefined;

  durable(turn: number): void;
  saved(turn: number): void;
  infoSaved(): void;
  setSpare(spare: Uint8Array): void;
  info(): Uint8Array | undefined;
  account(): Uint8Array;
  pageCount(): number;
  dirtyPage(): number;
  page(index: number): Uint8Array;
  /** Takes in the items of pools that another replica of this place has stored. */
  adoptPage(bytes: Uint8Array, place: number): boolean;
  adoptFrame(bytes: Uint8Array): boolean;
  adopted(): void;
  /** How many pieces of news of pools it has taken; what is stored of them may be acknowledged. */
  poolNews(): number;
  poolNewsSaved(count: number): void;

  /** The primary field under which the outbox was made, for as long as no relay has told one. */
  restorePrimary(primary: string): void;
  /** The app has heard that the datastore is gone, and wants another in its place. */
  openAnew(): void;

  meetSiblings(): void;
  /** The ids of all replicas on the disk, one behind the other: what others have shown is gone. */
  keepSiblings(ids: Uint8Array): void;
  /** All that a sibling had on the disk is settled, with effects up to `seq` of a life. */
  siblingDone(id: Uint8Array, epoch: string, seq: number): void;
  /** Somebody else has this replica's place on the disk. */
  dispossess(): number;
  note(): Uint8Array | undefined;
  heard(note: Uint8Array): void;

  connected(now: number): void;
  received(bytes: Uint8Array, now: number): number;
  closed(code: number): void;
  pong(text: string, now: number): number;
  /** The disk can be written no more. */
  forsakeDisk(): number;
  /** What the others see; nothing where it is empty. */
  show(json: string): void;
  tick(now: number): number;
  deadline(): number;
  /** How long the relay may take to answer, in milliseconds. */
  patience(): number;

  seq(): number;
  head(): number;
  pending(): number;
  settled(): number;
  phase(): number;
  epoch(): string | undefined;
  expiresAt(): number;
  kind(): string;
  primary(): string;
  id(): Uint8Array;
  replicaTag(): string;
  digest(): string;
}

/** What has happened, as `Core.events` tells it. */
export type CoreEvent =
  | ["settled", turn: number, seqs: (number | null)[]]
  /** What is settled next stands on other records than the app saw, or nobody can tell. */
  | ["overtaken", turn: number]
  | ["refused", turn: number, code: string, message: string, ops: Op[]]
  | ["welcome"]
  | ["turned"]
  | ["live"]
  | ["reset", reason: "epoch" | "history"]
  | ["renumbered"]
  | ["expired"]
  | ["stopped", code: string]
  | ["pool", pool: string]
  | ["unseen"]
  | ["mismatch", pool: string]
  | CorePresence
  | ["error", code: string];

/** What others show: all of them, or those that changed; `null`: nothing any more. */
export type CorePresence = ["presence", isWhole: 0 | 1, states: [who: string, state: unknown][]];

/** One collection's changes, as `Core.changes` tells them; without records where only keys are watched. */
export type CoreChanges = [
  collection: string,
  origin: 0 | 1,
  changes: [key: string, before?: object | null, after?: object | null][],
];
