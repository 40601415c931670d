// Errors of more than one place, and what becomes of errors that are not ours.

import { NeapError } from "./errors.js";

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

/** Throws `invalid-options` for a listener that cannot be called: it would fail later, far from who gave it. */
export function checkListener(listener: unknown): void {
  if (typeof listener !== "function") throw new NeapError("invalid-options", "a listener is a function");
}
