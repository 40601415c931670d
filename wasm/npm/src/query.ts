// Live queries: a collection's records that match, in an order, kept up to date by each change.

import type { Query, QueryOptions, OrderBy } from "./api.js";
import { NeapError } from "./errors.js";
import { compareKeys } from "./key.js";
import { copyItem, isPlainObject, same, type Plain } from "./record.js";
import { checkFunction, checkNames, reportUncaught } from "./trouble.js";

type Fields = Record<string, unknown>;
type Compare = (one: Row, other: Row) => number;

interface Row {
  readonly key: string;
  readonly record: Fields;
}

/** What a query needs of its collection. */
export interface Ground {
  entries(): Iterable<[string, Plain]>;
  /** The query has changed; `notify` is called once all that belongs together has come. */
  changed(query: { notify(): void }): void;
  close(query: LiveQuery<object>): void;
}

export class LiveQuery<T extends object> implements Query<T> {
  private readonly matches: (record: Fields) => boolean;
  private readonly compare: Compare;
  private readonly limit: number;
  /** All that match, in order: also those beyond the limit, which move up when others leave. */
  private rows: Row[];
  private current: readonly T[] | undefined = undefined;
  private told: readonly T[];
  private isDue = false;
  private readonly listeners = new Set<(value: readonly Readonly<T>[]) => void>();

  constructor(
    private readonly ground: Ground,
    options: QueryOptions<T>,
  ) {
    checkNames(options, "where orderBy limit");
    this.matches = matcher(options.where);
    this.compare = comparer(options.orderBy);
    this.limit = checkLimit(options.limit);
    this.rows = [];
    for (const [key, record] of ground.entries()) {
      if (this.matches(record as Fields)) this.rows.push({ key, record: record as Fields });
    }
    if (options.orderBy !== undefined) this.rows.sort(this.compare);
    this.told = this.value;
  }

  get value(): readonly Readonly<T>[] {
    return (this.current ??= Object.freeze(this.rows.slice(0, this.limit).map(({ record }) => record as T)));
  }

  subscribe(listener: (value: readonly Readonly<T>[]) => void): () => void {
    checkFunction(listener);
    const own = (value: readonly Readonly<T>[]) => listener(value);
    this.listeners.add(own);
    return () => void this.listeners.delete(own);
  }

  close(): void {
    this.listeners.clear();
    this.ground.close(this as unknown as LiveQuery<object>);
  }

  /** Takes a change of the collection. */
  take(key: string, before: Plain | undefined, after: Plain | undefined): void {
    const was = before !== undefined && this.test(before as Fields);
    const is = after !== undefined && this.test(after as Fields);
    if (!was && !is) return;
    let first = this.rows.length;
    if (was) {
      first = this.place({ key, record: before as Fields });
      if (this.rows[first]?.key === key) this.rows.splice(first, 1);
    }
    if (is) {
      const row = { key, record: after as Fields };
      const place = this.place(row);
      this.rows.splice(place, 0, row);
      first = Math.min(first, place);
    }
    // What happens beyond the limit is nobody's business yet.
    if (first >= this.limit) return;
    this.current = undefined;
    if (this.isDue) return;
    this.isDue = true;
    this.ground.changed(this);
  }

  /** Tells the listeners, once, if there is something to tell. */
  notify(): void {
    this.isDue = false;
    const value = this.value;
    const before = this.told;
    this.told = value;
    if (value.length === before.length && value.every((record, index) => record === before[index])) return;
    for (const listener of [...this.listeners]) {
      if (!this.listeners.has(listener)) continue;
      try {
        listener(value);
      } catch (error) {
        reportUncaught(error);
      }
    }
  }

  /** A change must get through, whatever the app's predicate makes of it: what throws does not match. */
  private test(record: Fields): boolean {
    try {
      return this.matches(record);
    } catch (error) {
      reportUncaught(error);
      return false;
    }
  }

  /** Where a row stands, or belongs. */
  private place(row: Row): number {
    let low = 0;
    let high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.compare(this.rows[middle] as Row, row) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function matcher<T>(where: QueryOptions<T>["where"]): (record: Fields) => boolean {
  if (where === undefined) return () => true;
  if (typeof where === "function") return (record) => Boolean((where as (record: unknown) => unknown)(record));
  if (!isPlainObject(where)) throw new NeapError("invalid-options", "where is an object of fields or a function");
  // Copied as a record is, so that the very object that was stored finds its record, and the app may go on with its own.
  const wanted = Object.entries(where as Fields).map(([field, value]) => [field, value === undefined ? value : copyItem(value)] as const);
  return (record) => wanted.every(([field, value]) => same(own(record, field), value));
}

/** What a record itself has of a field. */
const own = (record: Fields, field: string): unknown => (Object.hasOwn(record, field) ? record[field] : undefined);

function checkLimit(limit: number | undefined): number {
  if (limit === undefined) return Infinity;
  if (!Number.isInteger(limit) || limit < 0) throw new NeapError("invalid-options", "limit is a whole number from 0");
  return limit;
}

type Direction = "asc" | "desc";

/** By the fields in order, then by key, so that no two rows are equal. */
function comparer<T>(orderBy: OrderBy<T> | undefined): Compare {
  const fields = orderBy === undefined ? [] : fieldsOf(orderBy);
  return (one, other) => {
    for (const [field, direction] of fields) {
      const order = compareValues(own(one.record, field), own(other.record, field));
      if (order !== 0) return direction === "asc" ? order : -order;
    }
    return compareKeys(one.key, other.key);
  };
}

function fieldsOf(orderBy: unknown): [string, Direction][] {
  if (typeof orderBy === "string") return [[orderBy, "asc"]];
  if (isPair(orderBy)) return [[...orderBy]];
  if (!Array.isArray(orderBy) || orderBy.length === 0) throw badOrder();
  return orderBy.map((part): [string, Direction] => {
    if (typeof part === "string") return [part, "asc"];
    if (isPair(part)) return [...part];
    throw badOrder();
  });
}

const badOrder = () =>
  new NeapError("invalid-options", 'orderBy is a field, a pair [field, "asc" or "desc"], or several of these');

const isPair = (part: unknown): part is [string, Direction] =>
  Array.isArray(part) &&
  part.length === 2 &&
  typeof part[0] === "string" &&
  (part[1] === "asc" || part[1] === "desc");

/** Kinds of values in order: nothing, null, booleans, numbers, texts, and the rest by its JSON. */
function rank(value: unknown): number {
  if (value === undefined) return 0;
  if (value === null) return 1;
  return { boolean: 2, number: 3, string: 4 }[typeof value as string] ?? 5;
}

function compareValues(one: unknown, other: unknown): number {
  if (one === other) return 0;
  const kind = rank(one);
  const difference = kind - rank(other);
  if (difference !== 0) return difference;
  if (kind === 4) return compareKeys(one as string, other as string);
  if (kind === 5) return compareKeys(JSON.stringify(one), JSON.stringify(other));
  return (one as number) < (other as number) ? -1 : 1;
}
