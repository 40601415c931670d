// Errors of more than one place, and what becomes of errors that are not ours.

import { NeapError } from "./errors.js";
import { isPlainObject } from "./record.js";

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

/** Throws `invalid-options` for what cannot be called: a listener would fail later, far from who gave it. */
export function checkFunction(fn: unknown, what = "a listener"): void {
  if (typeof fn !== "function") throw new NeapError("invalid-options", `${what} is a function`);
}

/** Throws `invalid-options` for options that are no object, or have a name that nobody asks for. */
export function checkNames(options: unknown, names: string): void {
  if (!isPlainObject(options)) throw new NeapError("invalid-options", "options are an object");
  const unknown = Object.keys(options).find((name) => !names.split(" ").includes(name));
  if (unknown !== undefined) throw new NeapError("invalid-options", `there is no option "${unknown}"`);
}

const MESSAGES: Record<string, string> = {
  "bad-request": "the relay does not take what this replica sent; a ttl may be longer than it allows",
  unauthorized: "the token is missing, has expired or is not valid",
  forbidden: "the relay does not allow this with this token, or to pages of this origin",
  "not-found": "the token is not for this datastore",
  "too-slow": "the relay gave up a connection that took its frames too slowly",
  "rate-limited": "this client sent too much at once",
  "too-many-sockets": "no more connections fit: the relay has as many as it takes",
  "options-mismatch": "the datastore has another kind or primary field than was asked for; nothing was sent",
  diverged: "this replica's records differ from the relay's, also after they were fetched anew",
};

/** Whether something is said of a code. */
export const isKnown = (code: string): boolean => Object.hasOwn(MESSAGES, code);

/** What a code of the relay or the core says to a person. */
export const messageOf = (code: string): string => MESSAGES[code] ?? code;
