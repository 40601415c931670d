// Keys and names: what they may be, and in which order they stand.

import { NeapError } from "./errors.js";
import { KEY_BYTES_MAX, NAME_BYTES_MAX } from "./limits.js";

const NAME = /^[A-Za-z0-9_-]{1,64}$/;
const LONE_SURROGATE = /\p{Surrogate}/u;

type WellFormed = { isWellFormed?: () => boolean };

/** Whether a text has no lone surrogate, so that UTF-8 can carry it unchanged. */
export const isWellFormed: (text: string) => boolean =
  typeof (String.prototype as WellFormed).isWellFormed === "function"
    ? (text) => (text as unknown as { isWellFormed(): boolean }).isWellFormed()
    : (text) => !LONE_SURROGATE.test(text);

/** The length of a text in bytes of UTF-8. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) continue;
    // Each half of a pair adds one, as four bytes stand for two units.
    bytes += unit < 0x800 || (unit >= 0xd800 && unit < 0xe000) ? 1 : 2;
  }
  return bytes;
}

/** Gives `key` back when it can be a key, as that of a record in its field `primary`; throws `invalid-key` else. */
export function checkKey(key: unknown, primary?: string): string {
  if (typeof key !== "string")
    throw new NeapError("invalid-key", `a key is a string, ${primary === undefined ? "" : `here the primary field "${primary}", `}not ${typeof key}`);
  if (key.length === 0) throw new NeapError("invalid-key", "a key may not be empty");
  if (key.length * 3 > KEY_BYTES_MAX && utf8Length(key) > KEY_BYTES_MAX)
    throw new NeapError("invalid-key", `a key has at most ${KEY_BYTES_MAX} bytes of UTF-8`);
  if (!isWellFormed(key)) throw new NeapError("invalid-key", "a key may not have a lone surrogate");
  return key;
}

/** Whether a text could be the key of a record: what cannot be is never found. */
export function isKey(key: unknown): key is string {
  return typeof key === "string" && key.length > 0 && key.length <= KEY_BYTES_MAX && isWellFormed(key);
}

/** Whether a value can name a primary field. */
export const isFieldName = (name: unknown): name is string =>
  typeof name === "string" && name !== "" && isWellFormed(name) && utf8Length(name) <= NAME_BYTES_MAX;

/** Throws `invalid-name` unless `name` is 1 to 64 of `A-Z a-z 0-9 _ -`. */
export function checkName(name: unknown): string {
  if (typeof name !== "string" || !NAME.test(name))
    throw new NeapError("invalid-name", "a name is 1 to 64 of A-Z a-z 0-9 _ -");
  return name;
}

/**
 * Compares well-formed texts by their UTF-8 bytes. That is the order of code units, but for
 * surrogates, which stand for code points above all others.
 */
export function compareKeys(one: string, other: string): number {
  const end = Math.min(one.length, other.length);
  for (let at = 0; at < end; at++) {
    const a = one.charCodeAt(at);
    const b = other.charCodeAt(at);
    if (a === b) continue;
    const isHigh = a >= 0xd800 && b >= 0xd800;
    return isHigh ? lift(a) - lift(b) : a - b;
  }
  return one.length - other.length;
}

// Moves surrogates above U+FFFF's neighbours, which stand after them among code units.
const lift = (unit: number): number => (unit < 0xe000 ? unit + 0x2000 : unit - 0x800);

/** Whether plain comparison of code units orders this key right beside any other. */
export function isLow(key: string): boolean {
  for (let at = 0; at < key.length; at++) if (key.charCodeAt(at) >= 0xd800) return false;
  return true;
}
