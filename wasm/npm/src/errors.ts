/**
 * What went wrong, for a program. Thrown at the call: `invalid-key`, `invalid-data`, `invalid-name`,
 * `too-large`, `key-mismatch`, `closed`, `invalid-options`. Told by the `error` event:
 * `options-mismatch` (the relay knows the datastore with another kind or primary field),
 * `user-mismatch` (the token is not for `user`), `token-failed` (the token function threw),
 * `unauthorized`, `forbidden`, `not-found`, `bad-request`, `superseded` (the relay turned the connection away),
 * `storage-failed` (edits are kept in memory only from here on), `storage-damaged` (stored records
 * were unreadable and are fetched again), `diverged` (this replica's records differ from the relay's).
 * New codes may come.
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
  | "storage-failed"
  | "storage-damaged"
  | "diverged"
  | (string & {});

/** The only kind of error that this package throws or reports on purpose. */
export class NeapError extends Error {
  override readonly name = "NeapError";
  /** What went wrong, for a program. */
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** The error of a call on a datastore that has been closed. */
export const closedError = (): NeapError => new NeapError("closed", "the datastore has been closed");

/** Reports what an app's own callback threw, as the platform reports uncaught errors, and goes on. */
export function reportUncaught(error: unknown): void {
  const report = (globalThis as { reportError?: (error: unknown) => void }).reportError;
  if (report) report(error);
  else
    queueMicrotask(() => {
      throw error;
    });
}
