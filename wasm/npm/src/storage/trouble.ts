// What is wrong with a disk, for a program and for a person.

import { NeapError } from "../errors.js";

/** The disk is gone from under the open datastore. */
export const lostError = (by: string): NeapError => new NeapError("storage-lost", `${by} has deleted the local copy`);

/** A newer package has another format, with which this one must not meddle. */
export const newerError = (): NeapError =>
  new NeapError("storage-newer", "a newer version of the app has changed the local copy: reload the page");

/** A tab that does not answer keeps the local copy from being opened. */
export const blockedError = (): NeapError =>
  new NeapError("storage-failed", "another tab holds an older format of the local copy: close it, then reload");

/** Browsers have had times in which a database was never opened, and nobody told. */
export const silentError = (): NeapError => new NeapError("storage-failed", "the browser does not open the local copy");

/** Says why there is no disk any more, whatever was thrown. */
export function troubleOf(cause: unknown): NeapError {
  const [code, why] = reasonOf(cause);
  return new NeapError(code, `${why}; edits are kept in memory only, until the page is closed`, { cause });
}

function reasonOf(cause: unknown): [code: string, why: string] {
  if (cause instanceof NeapError) return [cause.code, cause.message];
  const { name, message } = Object(cause) as Partial<Error>;
  if (name === "QuotaExceededError") return ["storage-full", "the disk is full"];
  return ["storage-failed", `IndexedDB cannot be used here: ${message ?? String(cause)}`];
}
