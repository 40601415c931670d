/**
 * What went wrong, for a program. Thrown at the call: `invalid-key`, `invalid-data`, `invalid-name`,
 * `too-large`, `key-mismatch`, `closed`, `invalid-options`. Told by the `error` event:
 * `options-mismatch` (the relay knows the datastore with another kind or primary field, or a pool with other options),
 * `user-mismatch` (the token is not for `user`), `token-failed` (the token function threw, or hung, or what it gave is no
 * JWT), `unreachable` (the browser does not even try to connect to the relay),
 * `unauthorized`, `forbidden`, `not-found`, `bad-request`, `too-many-sockets`, `rate-limited`, `too-slow` (the
 * relay turned the connection away),
 * `storage-failed` (IndexedDB is refused or has failed), `storage-full` (no room on the disk; of a refused mutation: no room in
 * the datastore),
 * `storage-newer` (a newer version of the app has changed the local copy), `storage-lost` (it was
 * deleted under the open page): after these four `status.storage` is `"memory"`, edits on the disk stay
 * there and arrive once, later ones live as long as the page; `storage-damaged` (stored records
 * were unreadable and are fetched again), `outbox-damaged` (edits that waited on the disk were unreadable: they
 * may be lost, the message says how many), `diverged` (this replica's records differ from the relay's). Why a mutation was
 * refused, which `neap/tanstack` throws: `precondition-failed`, `not-found`, `too-large`, `storage-full`, `options-mismatch`,
 * `forbidden`, `outcome-unknown` (this replica was away for 400 days). New codes may come.
 */
export type ErrorCode =
  | "invalid-key"
  | "invalid-data"
  | "invalid-name"
  | "too-large"
  | "key-mismatch"
  | "closed"
  | "invalid-options"
  | "options-mismatch"
  | "user-mismatch"
  | "token-failed"
  | "unreachable"
  | "unauthorized"
  | "forbidden"
  | "not-found"
  | "bad-request"
  | "too-many-sockets"
  | "rate-limited"
  | "too-slow"
  | "precondition-failed"
  | "outcome-unknown"
  | "storage-failed"
  | "storage-full"
  | "storage-newer"
  | "storage-lost"
  | "storage-damaged"
  | "outbox-damaged"
  | "diverged"
  | (string & {});

/** The only kind of error that this package throws or reports on purpose. */
export class NeapError extends Error {
  declare readonly name: "NeapError";
  /** What went wrong, for a program. */
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }

  static {
    // In stacks and logs it keeps its name also where names are made short.
    for (const named of [NeapError, NeapError.prototype]) Object.defineProperty(named, "name", { value: "NeapError" });
  }
}

/**
 * What the core finds wrong with an input, by its numbers from 1. Nearly all of it the package has found before, so
 * that here only what a mutation is as a whole matters.
 */
export const MALFORMED: readonly (readonly [code: ErrorCode, message: string])[] = [
  ["invalid-name", "a name is 1 to 64 of A-Z a-z 0-9 _ -"],
  ["invalid-key", "a key is a text of 1 to 512 bytes of UTF-8"],
  ["invalid-data", "this is not JSON"],
  ["key-mismatch", "the primary field must be there and equal to the key"],
  ["too-large", "a record or an item is larger than 256 KiB"],
  ["too-large", "a mutation or what it changes is larger than 900 KiB, or a record than 256 KiB"],
  ["too-large", "a mutation has more than 10 000 ops"],
  ["invalid-options", "a mutation adds to one pool or changes records, not both"],
];
