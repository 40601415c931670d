// The public face: everything that a user of the package sees, but for `open` and `NeapError`.

import type { ErrorCode, NeapError } from "./errors.js";

/** What `open` takes. Everything may be left out in a browser. */
export interface OpenOptions {
  /**
   * Origin of a relay, like `https://relay.example.com`. In a browser it defaults to the page's own origin.
   * `null`: no relay, this device only; mutations stay pending. What is stored without a relay is separate: opening the same
   * id with a relay does not find it.
   */
  relay?: string | null | undefined;
  /** Public id of the datastore, 1 to 64 of `A-Z a-z 0-9 _ -`. Left out: a fresh one of 32 hex digits, made here. */
  id?: string | undefined;
  /** `"temp"` (the default) expires, `"permanent"` does not. */
  kind?: Kind | undefined;
  /** Name of the field that holds a record's key, 1 to 64 bytes; `"id"` where nobody says otherwise. */
  primary?: string | undefined;
  /**
   * Life of a temp datastore in seconds, from 1 to what the relay allows, 30 days as it comes; 3600 where nobody says otherwise.
   * It never moves an existing expiry.
   */
  ttl?: number | undefined;
  /** Whether the ttl is counted from the newest accepted mutation or opening instead of from creation. */
  sliding?: boolean | undefined;
  /** A JWT for a relay that wants one, or a function that gets one: it is asked before each connection,
   * and again before a token's `exp`; the open connection then goes on with the new one. When it has
   * not answered after 15 s an `error` event says `token-failed`; it is still waited for, and asked again after a minute. */
  token?: string | (() => string | Promise<string>) | undefined;
  /**
   * Whose data this is: each user of a device has a local copy of their own. It must equal the token's `sub`.
   * Needed with a token function and `storage: "indexeddb"`; defaults to the `sub` of a token that is a text.
   */
  user?: string | undefined;
  /** Where the local copy lies. Defaults to `"indexeddb"` where there is one, else `"memory"`. */
  storage?: StorageKind | undefined;
  /** A WebSocket class, where the platform has none (Node 20). */
  WebSocket?: WebSocketClass | undefined;
}

/** Whether a datastore expires. */
export type Kind = "temp" | "permanent";
/** Where the local copy lies. */
export type StorageKind = "indexeddb" | "memory";
/** How the connection stands. `"connecting"` is said of the first try only; while further tries fail it is `"offline"`. */
export type Connection = "offline" | "connecting" | "catching-up" | "live" | "closed";

/** As much of the WebSocket class as is used. */
export type WebSocketClass = new (url: string, protocols?: string | string[]) => WebSocketLike;
/** As much of a WebSocket as is used. */
export interface WebSocketLike {
  binaryType: string;
  readonly bufferedAmount: number;
  send(data: string | ArrayBufferView<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: "open" | "error", listener: (event: unknown) => void): void;
  addEventListener(type: "message", listener: (event: { data: unknown }) => void): void;
  addEventListener(type: "close", listener: (event: { code: number; reason?: string }) => void): void;
}

/** How a datastore stands. The same object until something changes. */
export interface Status {
  readonly connection: Connection;
  /**
   * Mutations that the relay has not answered: those of this replica, and those that it delivers for tabs that are gone. Those
   * of tabs that run are not among them, nor what this tab had pending before it was reloaded, if another tab has taken that
   * over: `meta(key).pending` tells of all.
   */
  readonly pending: number;
  /** The newest confirmed seq that this replica holds. */
  readonly seq: number;
  /** The newest seq that it has heard of. */
  readonly head: number;
  /** Where edits are kept. It says `"memory"` also when the disk could not be had; an `error` event says why. */
  readonly storage: StorageKind;
  /** Until when edits made offline are sure to be taken. `null` before the first contact with a relay. */
  readonly offlineUntil: Date | null;
}

/** What became of a mutation. */
export type Outcome =
  /** In the order at `seq`; `null`: it changed nothing and took no seq. */
  | { readonly status: "accepted"; readonly seq: number | null }
  /**
   * Not applied. `code` is `not-found`, `precondition-failed`, `too-large`, `storage-full`, `forbidden`, `outcome-unknown`, or
   * `options-mismatch`, for additions to a pool that has other options.
   */
  | { readonly status: "refused"; readonly code: string; readonly message: string };

/** A mutation on its way. */
export interface Mutation {
  /** Names it for ever. */
  readonly id: string;
  /** It is on this device's disk and survives the page; with memory storage at once. After `forget` it stays open. */
  readonly durable: Promise<void>;
  /**
   * What became of it at the relay. Never rejects. It stays pending for ever after `close`, and where another tab has delivered
   * the mutation while this one was frozen.
   */
  readonly settled: Promise<Outcome>;
}

/** What must hold when a mutation arrives at the relay, else it is refused `precondition-failed`. */
export type Condition =
  /**
   * The record was last written at this seq. Where this replica's own pending mutation wrote it last, that
   * write is meant, so conditions can be chained offline.
   */
  | { ifSeq: number }
  /** There is no record. */
  | { ifAbsent: true }
  /** There is a record. */
  | { ifPresent: true };

/** A JSON Merge Patch (RFC 7396): what it does not name stays, `null` takes a member away, objects are merged. */
export type Patch<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { [K in keyof T]?: Patch<T[K]> | null }
    : T;

/** What is known of a record besides its data. */
export interface Meta {
  /** Seq at which it was last written; `null` where the relay has told of no such record. */
  readonly seq: number | null;
  /** Whether a mutation of it waits for an answer. */
  readonly pending: boolean;
}

/** A record that is not what it was. */
export interface Change<T> {
  readonly key: string;
  /** What it was, `undefined` where there was none. */
  readonly before: Readonly<T> | undefined;
  /** What it is, `undefined` where there is none. */
  readonly after: Readonly<T> | undefined;
  /** `"local"`: by this page. `"remote"`: by others, another tab among them, or because the relay decided otherwise. */
  readonly origin: "local" | "remote";
}

/** A named set of records, read and written at once. All reads give the view: what is confirmed, with own pending mutations on top. */
export interface Collection<T extends object = Record<string, unknown>> {
  /** Its name. */
  readonly name: string;
  /** Name of the field that holds a record's key. */
  readonly primary: string;
  /**
   * Puts a record in place of the one with its key, or makes it. The key is its primary field.
   *
   * Throws `invalid-key`, `invalid-data`, `too-large` (over 256 KiB), `invalid-options`, `closed`.
   */
  set(record: T, condition?: Condition): Mutation;
  /**
   * Merges into a record; refused `not-found` where there is none.
   *
   * Throws as `set`, and `key-mismatch` when it would change the primary field.
   */
  patch(key: string, partial: Patch<T>, condition?: Condition): Mutation;
  /** Removes a record. Where there is none it is accepted and takes no seq. Throws `invalid-key`, `invalid-options`, `closed`. */
  delete(key: string, condition?: Condition): Mutation;
  /** The record, frozen; the same object until it changes. */
  get(key: string): Readonly<T> | undefined;
  has(key: string): boolean;
  readonly size: number;
  /** Keys in the order of their UTF-8 bytes, which is the order of all iteration. */
  keys(): IterableIterator<string>;
  values(): IterableIterator<Readonly<T>>;
  entries(): IterableIterator<[string, Readonly<T>]>;
  [Symbol.iterator](): IterableIterator<[string, Readonly<T>]>;
  /** What is known of a record besides its data. */
  meta(key: string): Meta;
  /** As `transact` of the datastore, for writes of this collection alone. */
  transact(fn: (transaction: TransactionCollection<T>) => void): Mutation;
  /**
   * A live query, kept up to date by each change and not by running it again. Throws `invalid-options`, and `invalid-data` where
   * `where` has what is not JSON.
   */
  query(options?: QueryOptions<T>): Query<T>;
  /** Calls `listener` once for each batch of changes, never during a call into the store. Returns what ends it. Throws `invalid-options`. */
  subscribe(listener: (batch: { readonly changes: readonly Change<T>[] }) => void): () => void;
}

/** Fields to order by: one, one with a direction, or several, the first counting most. */
export type OrderBy<T> =
  | (keyof T & string)
  | readonly [keyof T & string, "asc" | "desc"]
  | readonly ((keyof T & string) | readonly [keyof T & string, "asc" | "desc"])[];

/** What `query` takes. */
export interface QueryOptions<T> {
  /**
   * Fields that must be equal, as JSON has them, `undefined` meaning that there is none; or a function that says yes, which
   * must say the same of the same record.
   */
  where?: { readonly [K in keyof T]?: T[K] | undefined } | ((record: Readonly<T>) => boolean) | undefined;
  /**
   * Ascending unless said otherwise, then by key. Missing values come first, then null, booleans, numbers,
   * texts by their UTF-8 bytes, and the rest by its JSON.
   */
  orderBy?: OrderBy<T> | undefined;
  /** Most records to give. */
  limit?: number | undefined;
}

/** A live query. */
export interface Query<T> {
  /** The records that match now, with own pending mutations in them; the same array until it changes. */
  readonly value: readonly Readonly<T>[];
  /** Calls `listener` once for each batch that changes `value`. Returns what ends it. Throws `invalid-options`. */
  subscribe(listener: (value: readonly Readonly<T>[]) => void): () => void;
  /** Ends it; `value` stays as it is. */
  close(): void;
}

/** How long the relay keeps the items of a pool: for the datastore's life, or until its members have converged. */
export type Retain = "ttl" | "converged";

/** What `pool` takes. The first opener of a pool anywhere fixes both; what is left out is what the pool has. */
export interface PoolOptions {
  /** Name of the field by which items are equal, 1 to 64 bytes; none where the first opener names none. */
  primary?: string | undefined;
  /** `"ttl"` where the first opener says nothing. */
  retain?: Retain | undefined;
}

/** What the members of a pool have converged on. */
export interface Convergence {
  /** The newest seq of the pool, which counts its own. */
  readonly seq: number;
  /**
   * Over all items that the relay keeps, 32 hex digits; the same at every member. With `retain: "converged"` it is that of
   * nothing, as the relay has just let go of them.
   */
  readonly digest: string;
}

/**
 * A merge pool: a shared set of JSON values that everybody only adds to and reads. Two items are one when their primary
 * field is, where the pool has one and both carry it as a non-empty string, else when their canonical JSON
 * (RFC 8785) is. Under one primary the item that arrives last counts.
 */
export interface Pool<T = unknown> {
  /** Its name. */
  readonly name: string;
  /**
   * Adds an item, or each item of an array, in one mutation; an array that is to be one item stands in another array. The
   * items show at once, offline too. What the pool has already is not sent. `settled` tells the newest seq that the items
   * took in the pool, which counts its own; `null` where all were known. Where the relay refuses, the items disappear
   * and `refused` brings them back.
   *
   * Throws `invalid-data` for what is not JSON, `too-large` (an item over 256 KiB; a call with more than 10 000 new
   * items or 900 KiB of them), `invalid-options` inside `transact`, `closed`.
   */
  add(items: T | readonly T[]): Mutation;
  /**
   * All items, own pending ones among them, in the order of their identities, which is the same at every
   * member. The array and the items are frozen; the same array until something changes.
   */
  items(): T[];
  /** Whether the pool has an item that is equal to this one. */
  has(item: T): boolean;
  readonly size: number;
  /**
   * Calls `listener` once for each batch that changes the items or `converged`, never during a call into the store. Returns
   * what ends it. Throws `invalid-options`.
   */
  subscribe(listener: () => void): () => void;
  /**
   * Whether at least two members are connected and all hold the same: everything the pool has. A member that was silent for
   * 60 s does not count. `false` while an own addition is pending, and offline.
   */
  readonly converged: boolean;
  /** Resolves as soon as `converged`, with what was converged on. Rejects `closed`. */
  whenConverged(): Promise<Convergence>;
}

/**
 * A collection inside `transact`: reads see what the transaction has written so far. To go through it visits the keys that are
 * there at the beginning.
 */
export interface TransactionCollection<T extends object = Record<string, unknown>> {
  readonly name: string;
  set(record: T, condition?: Condition): void;
  patch(key: string, partial: Patch<T>, condition?: Condition): void;
  delete(key: string, condition?: Condition): void;
  get(key: string): Readonly<T> | undefined;
  has(key: string): boolean;
  readonly size: number;
  keys(): IterableIterator<string>;
  values(): IterableIterator<Readonly<T>>;
  entries(): IterableIterator<[string, Readonly<T>]>;
  [Symbol.iterator](): IterableIterator<[string, Readonly<T>]>;
}

/** What `transact` gives to its function; of no use after it. */
export interface Transaction {
  collection<T extends object = Record<string, unknown>>(name: string): TransactionCollection<T>;
}

/** What those who are connected show each other; nothing of it is stored. */
export interface Presence<T = unknown> {
  /**
   * Shows the others a state, any JSON value, in place of the one before; `null` or `undefined`: nothing. It is
   * sent at most 20 times a second, the newest counting, shown again in each new connection, and gone with it.
   *
   * Throws `invalid-data`, `too-large` (over 4 KiB of JSON), `closed`, and `invalid-options` inside `transact`.
   */
  set(state: T | null | undefined): void;
  /** What was set last, frozen; `undefined` where nothing is shown. */
  readonly self: T | undefined;
  /**
   * What each of the others shows, frozen, by a name that stays as long as their connection. Empty without a
   * connection. Another map whenever something has changed.
   */
  readonly others: Map<string, T>;
  /** Calls `listener` after `self` or `others` have changed. Returns what ends it. Throws `invalid-options`. */
  subscribe(listener: (others: Map<string, T>) => void): () => void;
}

/** An op of a refused mutation, so that an app can offer the data back. */
export interface Op {
  readonly op: "set" | "patch" | "delete" | "add";
  /** Name of the collection; of an addition, that of the pool. */
  readonly collection: string;
  /** The record's key; of an addition, what makes the item equal to others: its primary field, or a hash. */
  readonly key: string;
  /** The record, the patch or the item. */
  readonly data?: unknown;
}

/**
 * A mutation that the relay refused: one of this replica, also from an earlier visit of the page, or one that it delivers for a
 * tab that is gone. Or an `undo` that was refused here; then `ops` is empty.
 */
export interface Refused {
  readonly id: string;
  readonly ops: readonly Op[];
  readonly code: string;
  readonly message: string;
}

/** Events of a datastore and what they bring. */
export interface Events {
  /** Something about `status` has changed, or what other tabs have pending. */
  status: Status;
  /** A mutation was refused; in the same batch it has disappeared from the view. */
  refused: Refused;
  /** The replica started again: the id lives in another `epoch`, or its `history` does not reach back. Pending mutations go on. */
  reset: { readonly reason: "epoch" | "history" };
  /**
   * The datastore is gone. What this replica holds stays readable. `open` anew makes another, to which the outbox goes;
   * `forget` erases.
   */
  expired: undefined;
  /** Something is wrong that the app did not do in this call. */
  error: NeapError;
}

/** A shared space of named collections and pools. */
export interface Datastore {
  /** The public id. */
  readonly id: string;
  readonly kind: Kind;
  /** Name of the field that holds a record's key. */
  readonly primary: string;
  /** When it expires; `null` for a permanent one and before the first contact with a relay. */
  readonly expiresAt: Date | null;
  /** This incarnation of the id, 16 hex digits; `null` before the first contact with a relay. */
  readonly epoch: string | null;
  /** The newest confirmed seq that this replica holds. */
  readonly seq: number;
  /** Over all confirmed records, 32 hex digits: two replicas with one digest hold the same. */
  readonly digest: string;
  readonly status: Status;
  /** The first catch-up with the relay is complete. Rejects `closed`; never settles without a relay. */
  readonly ready: Promise<void>;
  /** Resolves when `status.pending` is 0. Rejects `closed`. */
  settled(): Promise<void>;
  /** A collection, made on first use. Throws `invalid-name`. */
  collection<T extends object = Record<string, unknown>>(name: string): Collection<T>;
  /**
   * A merge pool, opened on first use, before the relay was ever reached too. The same name gives the same object. Where its
   * first opener chose otherwise, an `error` event says `options-mismatch` and what is added here is refused.
   *
   * Throws `invalid-name`, `invalid-options`, also for the 65th pool, and `options-mismatch` when it is open here with other
   * options.
   */
  pool<T = unknown>(name: string, options?: PoolOptions): Pool<T>;
  /**
   * Runs `fn`; all that it writes is one mutation: all or nothing, one seq. A throw inside undoes it all.
   *
   * Throws what `fn` throws, `invalid-options` when it is async or nested, `too-large` over 900 KiB or 10 000 ops, `closed`.
   */
  transact(fn: (transaction: Transaction) => void): Mutation;
  /** Who else is here, and what they show. */
  readonly presence: Presence;
  /**
   * Takes back the newest mutation of this page that had an effect, by another one, which brings back what was seen before.
   * `null` where there is none; at least the last 200 can be taken back, and at most 400.
   *
   * It never overwrites what somebody else wrote, since, or before the mutation while that was on its way: then it is refused
   * `precondition-failed`, at once where that is known here. So is one where nobody can tell, as for an edit that was made while
   * a large datastore was still coming; one that would be too large is refused `too-large`. A record that others made and deleted
   * in between goes unnoticed.
   *
   * What undoes a pending mutation waits for that one's answer, and what is written after it waits too. Should the page go, or
   * freeze, before it has an answer of its own, it is sent as it is. Throws `closed`, and `invalid-options` inside `transact`.
   */
  undo(): Mutation | null;
  /** Takes back the newest `undo`, as long as nothing else was written here since. */
  redo(): Mutation | null;
  /** Whether `undo` has something to take back. */
  readonly canUndo: boolean;
  /** Whether `redo` has something to take back. */
  readonly canRedo: boolean;
  /**
   * Stays away from the relay until `goOnline`, for as long as the page lives. Other tabs still show what is edited here,
   * and deliver what a page leaves behind when it goes. Throws `closed`.
   */
  goOffline(): void;
  /**
   * Connects again, at once where it waits for the next try. Needed also after the errors `forbidden`, `options-mismatch` and
   * `user-mismatch`, which end all tries. Throws `closed`.
   */
  goOnline(): void;
  /** Calls `listener` at each event. Returns what ends it. Throws `invalid-options`. */
  on<E extends keyof Events>(event: E, listener: (detail: Events[E]) => void): () => void;
  off<E extends keyof Events>(event: E, listener: (detail: Events[E]) => void): void;
  /** Ends it; what is on the disk stays. Resolves when the last write there is done; an `error` event says if it failed. */
  close(): Promise<void>;
  /**
   * Ends it and erases the local copy, with what was pending. Other tabs go on in memory, and say `storage-lost`. Resolves
   * when nobody holds the copy: a page that was frozen in the middle of a write does until it wakes up or is discarded.
   */
  forget(): Promise<void>;
}

export type { ErrorCode };
