// The one walk that an app's data takes on its way in: validated, copied, measured and frozen. After it
// `JSON.stringify` of the copy is exactly the record, so nothing needs to look at it again.

import { NeapError } from "./errors.js";
import { checkKey, isWellFormed } from "./key.js";
import { DEPTH_MAX, RECORD_BYTES_MAX } from "./limits.js";

/** A frozen record, or patch, as it is kept and handed out. */
export type Plain = { readonly [name: string]: unknown };

// Measured by the last walk: characters that are there at least, and numbers, whose print is up to 24 more.
let chars = 0;
let numbers = 0;

/** About how many characters of JSON the last copy has. */
export const lastSize = (): number => chars + 8 * numbers;

/**
 * Copies `value` as JSON would: own enumerable members, `toJSON` honoured, members of value `undefined`
 * left out. The copy is frozen all through.
 *
 * Throws `invalid-data` for what is not JSON: functions, symbols, BigInt, NaN and infinities, `undefined`
 * in an array, lone surrogates, built-in objects that JSON would empty (Map, Set, typed arrays, …),
 * more than 32 levels, and so any cycle. Throws `too-large` when the JSON has over 256 KiB.
 */
export function copyRecord(value: unknown): Plain {
  chars = 0;
  numbers = 0;
  const copy = copyValue(value, 0, "");
  if (typeof copy !== "object" || copy === null || Array.isArray(copy))
    throw new NeapError("invalid-data", "a record and a patch must be objects");
  if (6 * chars + 24 * numbers > RECORD_BYTES_MAX) checkBytes(copy);
  return copy as Plain;
}

/** Copies a record and checks its key; throws as both do, and tells first what is wrong with the key. */
export function copyKeyed(record: unknown, primary: string): Plain {
  let copy: Plain;
  try {
    copy = copyRecord(record);
  } catch (error) {
    if (isPlainObject(record) && Object.hasOwn(record, primary)) checkKey(record[primary], primary);
    throw error;
  }
  checkKey(copy[primary], primary);
  return copy;
}

/** Copies an item of a pool, which may be any JSON; throws as `copyRecord`. */
export function copyItem(value: unknown): unknown {
  chars = 0;
  const copy = copyValue(value, 0, "");
  if (copy === undefined) throw invalid("an item cannot be undefined, which is not JSON");
  return copy;
}

/** The canonical JSON (RFC 8785) of what JSON can say: JavaScript prints numbers and texts as it wants them. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (!isPlainObject(value)) return JSON.stringify(value);
  const members = Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`);
  return `{${members.join()}}`;
}

/** Parses what the core gave out and freezes it all through. */
export function parseFrozen(json: string): Plain {
  return freeze(JSON.parse(json)) as Plain;
}

/** Freezes what `JSON.parse` made, all through. */
export function freeze(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  for (const name in value) {
    const member = (value as Plain)[name];
    if (typeof member === "object" && member !== null) freeze(member);
  }
  return Object.freeze(value);
}

function checkBytes(copy: unknown): void {
  const bytes = new TextEncoder().encode(JSON.stringify(copy)).length;
  if (bytes > RECORD_BYTES_MAX) throw tooLarge();
}

const tooLarge = (): NeapError =>
  new NeapError("too-large", `a record or an item has at most ${RECORD_BYTES_MAX} bytes of JSON`);

const invalid = (message: string): NeapError => new NeapError("invalid-data", message);

function copyValue(value: unknown, depth: number, name: string): unknown {
  switch (typeof value) {
    case "string":
      chars += value.length + 2;
      if (!isWellFormed(value)) throw invalid(`${at(name)} has a lone surrogate`);
      return value;
    case "number":
      numbers += 1;
      if (!Number.isFinite(value)) throw invalid(`${at(name)} is ${value}, which is not JSON`);
      // JSON prints minus zero as 0, so that is what every other replica will read.
      return value === 0 ? 0 : value;
    case "boolean":
      chars += 4;
      return value;
    case "object":
      if (value === null) {
        chars += 4;
        return null;
      }
      return copyObject(value, depth + 1, name);
    case "undefined":
      return undefined;
    default:
      throw invalid(`${at(name)} is a ${typeof value}, which is not JSON`);
  }
}

/**
 * All of it stands in one function, too large to be inlined: engines would compile it anew for each caller, and for an app
 * that begins with many writes that is a good part of them.
 */
function copyObject(value: object, depth: number, name: string, isAsked = false): unknown {
  if (depth > DEPTH_MAX) throw invalid(`the data has a cycle or more than ${DEPTH_MAX} levels`);
  if (!isAsked && typeof (value as { toJSON?: unknown }).toJSON === "function") return copyAsked(value, depth, name);
  if (Array.isArray(value)) return copyArray(value, depth);
  const prototype: unknown = Object.getPrototypeOf(value);
  // Objects of other realms and of classes have another prototype and the same tag.
  if (prototype !== Object.prototype && prototype !== null) {
    const tag: string = Object.prototype.toString.call(value);
    if (tag !== "[object Object]") throw invalid(`${at(name)} is ${tag}, which is not JSON`);
  }
  const copy: Record<string, unknown> = { ...value };
  // JSON has no members that symbols name.
  let isWhole = Object.getOwnPropertySymbols(copy).length === 0;
  let size = 1;
  for (const name in copy) {
    const member = copy[name];
    size += name.length + 4;
    if (!goodNames.has(name)) checkMemberName(name);
    // The commonest kinds stand here to spare them a call.
    if (typeof member === "string") {
      size += member.length + 2;
      if (!isWellFormed(member)) throw invalid(`${at(name)} has a lone surrogate`);
    } else if (typeof member === "number" && member !== 0 && member - member === 0) {
      numbers += 1;
    } else if (member === true || member === false || member === null) {
      size += 4;
    } else {
      const own = copyValue(member, depth, name);
      copy[name] = own;
      if (own === undefined) {
        isWhole = false;
        size -= name.length + 4;
      }
    }
  }
  chars += size;
  if (chars > RECORD_BYTES_MAX) throw tooLarge();
  return Object.freeze(isWhole ? copy : rebuild(copy));
}

/** Copies what `toJSON` gives. That may have one of its own; JSON asks only once. */
function copyAsked(value: object, depth: number, name: string): unknown {
  const plain: unknown = (value as { toJSON(name: string): unknown }).toJSON(name);
  return typeof plain === "object" && plain !== null ? copyObject(plain, depth, name, true) : copyValue(plain, depth, name);
}

// Records of an app share their few names, and to look one up is cheaper than to look through it.
const goodNames = new Set<string>();

function checkMemberName(name: string): void {
  if (!isWellFormed(name)) throw invalid("a member's name has a lone surrogate");
  if (goodNames.size >= 1024) goodNames.clear();
  if (name.length <= 64) goodNames.add(name);
}

function copyArray(value: readonly unknown[], depth: number): readonly unknown[] {
  const length = value.length;
  chars += 1 + length;
  if (chars > RECORD_BYTES_MAX) throw tooLarge();
  const copy: unknown[] = new Array(length);
  for (let index = 0; index < length; index++) {
    const own = copyValue(value[index], depth, String(index));
    // To leave it out would move those after it.
    if (own === undefined) throw invalid("an array has a hole or undefined in it, which is not JSON");
    copy[index] = own;
  }
  return Object.freeze(copy);
}

/** The members that JSON has: named by texts, with a value. */
function rebuild(copy: Record<string, unknown>): object {
  const members = Object.entries(copy).filter(([, member]) => member !== undefined);
  // Unlike assignment, fromEntries makes a member of the name `__proto__` too.
  return Object.fromEntries(members);
}

/** Whether a value is an object of fields. */
export const isPlainObject = (value: unknown): value is Plain =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Whether two JSON values are equal, whatever the order of their members. */
export function same(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) return false;
  if (Array.isArray(one) !== Array.isArray(other)) return false;
  const names = Object.keys(one);
  if (names.length !== Object.keys(other).length) return false;
  return names.every((name) => Object.hasOwn(other, name) && same((one as Plain)[name], (other as Plain)[name]));
}

const at = (name: string): string => (name === "" ? "the data" : `"${name.slice(0, 40)}"`);
