// A collection's records as JavaScript keeps them: parsed, frozen, one object until it changes, in the
// order of the keys' bytes once somebody has iterated. What is not here lies in the core and is fetched.

import { compareKeys, isKey, isLow } from "./key.js";
import { freeze, type Plain } from "./record.js";

/** A key that has been looked at. Nodes stay where they are; their value changes. */
export class Node {
  /** The record; `null`: there is none; `undefined`: it has changed and is fetched when asked for. */
  value: Plain | null | undefined;

  constructor(
    readonly key: string,
    value: Plain | null | undefined,
  ) {
    this.value = value;
  }
}

/** Where records come from that are not here. */
export interface Source {
  fetch(key: string): Plain | undefined;
  has(key: string): boolean;
  size(): number;
  /** Calls `each` for every record in the order of the keys; none is frozen yet. */
  dump(each: (key: string, record: object) => void): void;
}

/** From this many unknown keys in one batch on it is cheaper to fetch the collection anew; so many are kept that have no record. */
const MANY = 1000;
/** So many puts are owed at most: what they replace is held until then. */
const OWED_MAX = 100;

export class View {
  private readonly index = new Map<string, Node>();
  /** What is still to be put, in this order, by whoever looks first: who only loads can do without. */
  private owed: (() => void)[] = [];
  /** Whether every record has a node. */
  private hasAll = false;
  /** All nodes in order, once somebody has asked for the order; those in `added` are still to come. */
  private sorted: Node[] | undefined = undefined;
  private added: Node[] = [];
  /** Nodes with a record, and nodes to be fetched: together they tell the size. */
  private live = 0;
  private readonly stale = new Set<Node>();

  constructor(private readonly source: Source) {}

  /** Puts records as soon as somebody looks. */
  owe(put: () => void): void {
    this.owed.push(put);
    if (this.owed.length >= OWED_MAX) this.settle();
  }

  /** Puts what is owed. */
  settle(): void {
    if (this.owed.length === 0) return;
    const { owed } = this;
    this.owed = [];
    for (const put of owed) put();
  }

  private get nodes(): Map<string, Node> {
    this.settle();
    return this.index;
  }

  get isEmpty(): boolean {
    return this.nodes.size === 0;
  }

  get isComplete(): boolean {
    return this.hasAll && this.stale.size === 0;
  }

  /** Nothing is in the core that is not here. */
  startComplete(): void {
    this.hasAll = true;
  }

  get(key: string): Plain | undefined {
    const node = this.nodes.get(key);
    return node?.value ?? this.fetch(key, node);
  }

  private fetch(key: string, node: Node | undefined): Plain | undefined {
    if (node ? node.value === null : this.hasAll || !isKey(key)) return undefined;
    const record = this.source.fetch(key);
    if (node) this.write(node, record ?? null);
    else if (record) this.insert(key, record);
    return record;
  }

  has(key: string): boolean {
    const node = this.nodes.get(key);
    if (node && node.value !== undefined) return node.value !== null;
    if (!node && (this.hasAll || !isKey(key))) return false;
    return this.source.has(key);
  }

  size(): number {
    this.settle();
    if (!this.hasAll) return this.source.size();
    for (const node of [...this.stale]) this.read(node);
    return this.live;
  }

  /** What is known here of a key: a record, that there is none, or nothing. */
  peek(key: string): Plain | null | undefined {
    const node = this.nodes.get(key);
    return node ? node.value : this.hasAll ? null : undefined;
  }

  /** Puts a record, and tells what was there if that is known here. */
  put(key: string, record: Plain): Plain | null | undefined {
    const node = this.nodes.get(key);
    if (!node) {
      this.insert(key, record);
      return this.hasAll ? null : undefined;
    }
    const before = node.value;
    if (before) node.value = record;
    else this.write(node, record);
    return before;
  }

  /** Takes what the core says of a key. */
  take(key: string, record: Plain | null): void {
    const node = this.nodes.get(key);
    if (node) this.write(node, record);
    else if (record) this.insert(key, record);
  }

  /** These keys have changed; who asks for them gets them from the core. */
  invalidate(keys: readonly string[]): void {
    let unknown = 0;
    for (const key of keys) {
      const node = this.nodes.get(key);
      if (node) this.spoil(node);
      else unknown += 1;
    }
    if (unknown === 0 || !this.hasAll) return;
    if (unknown >= MANY) this.hasAll = false;
    else for (const key of keys) if (!this.nodes.has(key)) this.insert(key, undefined);
  }

  private insert(key: string, value: Plain | undefined): Node {
    const node = new Node(key, value);
    this.nodes.set(key, node);
    if (value) this.live += 1;
    else this.stale.add(node);
    if (this.sorted) this.added.push(node);
    return node;
  }

  private write(node: Node, value: Plain | null): void {
    if (node.value === undefined) this.stale.delete(node);
    else if (node.value) this.live -= 1;
    node.value = value;
    if (value) this.live += 1;
    else if (this.index.size - this.stale.size > 2 * this.live + MANY) this.sweep();
  }

  /** Lets go of nodes without a record: they would be too many where nobody iterates. */
  private sweep(): void {
    const isThere = (node: Node) => node.value !== null;
    for (const node of this.index.values()) if (!isThere(node)) this.index.delete(node.key);
    this.sorted = this.sorted?.filter(isThere);
    this.added = this.added.filter(isThere);
  }

  private spoil(node: Node): void {
    if (node.value === undefined) return;
    if (node.value) this.live -= 1;
    node.value = undefined;
    this.stale.add(node);
  }

  /** The record of a node, from the core if need be. */
  read(node: Node): Plain | null {
    if (node.value === undefined) this.write(node, this.source.fetch(node.key) ?? null);
    return node.value as Plain | null;
  }

  /** All nodes in order, some of them without a record. It never changes: the next one is another list. */
  order(): readonly Node[] {
    this.settle();
    if (!this.hasAll) this.sorted = this.fetchAll();
    else if (!this.sorted) this.sorted = this.sort([...this.nodes.values()]);
    else if (this.added.length > 0) this.sorted = this.merge(this.sorted, this.sort(this.added));
    if (this.added.length > 0) this.added = [];
    return this.sorted;
  }

  private fetchAll(): Node[] {
    // Nodes that the dump does not speak of have no record.
    const unsaid = new Set(this.nodes.values());
    const sorted: Node[] = [];
    this.source.dump((key, record) => {
      let node = this.nodes.get(key);
      if (!node) node = this.insert(key, freeze(record) as Plain);
      else if (!node.value) this.write(node, freeze(record) as Plain);
      unsaid.delete(node);
      sorted.push(node);
    });
    for (const node of unsaid) {
      this.write(node, null);
      this.nodes.delete(node.key);
    }
    this.hasAll = true;
    return sorted;
  }

  private sort(nodes: Node[]): Node[] {
    const lowFirst = (a: Node, b: Node) => (a.key < b.key ? -1 : 1);
    return nodes.sort(nodes.every(({ key }) => isLow(key)) ? lowFirst : (a, b) => compareKeys(a.key, b.key));
  }

  /** Merges two sorted lists, and lets go of nodes without a record. */
  private merge(old: readonly Node[], added: readonly Node[]): Node[] {
    const out: Node[] = [];
    let next = 0;
    const keep = (node: Node) => {
      if (node.value === null) this.nodes.delete(node.key);
      else out.push(node);
    };
    for (const node of old) {
      while (next < added.length && compareKeys((added[next] as Node).key, node.key) < 0) keep(added[next++] as Node);
      keep(node);
    }
    while (next < added.length) keep(added[next++] as Node);
    return out;
  }
}

const KEYS = 0;
const VALUES = 1;
const ENTRIES = 2;
type Part = typeof KEYS | typeof VALUES | typeof ENTRIES;

// Iterators inherit what the platform's own have (`map`, `toArray`, …).
const IteratorPrototype = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]())) as object;

/** Iterates as a Map does: what is deleted before its turn is not seen, what is added before its turn is. */
class Cursor {
  private at = 0;
  private order: readonly Node[] | undefined;
  private passed = "";

  constructor(
    private readonly view: View,
    private readonly part: Part,
  ) {
    this.order = view.order();
  }

  next(): IteratorResult<unknown, undefined> {
    while (this.order) {
      const order = this.view.order();
      if (order !== this.order) {
        this.order = order;
        this.at = placeAfter(this.passed, order);
      }
      const node = order[this.at++];
      if (!node) break;
      const value = node.value ?? this.view.read(node);
      if (value === null) continue;
      this.passed = node.key;
      if (this.part === VALUES) return { value, done: false };
      return { value: this.part === KEYS ? node.key : [node.key, value], done: false };
    }
    this.order = undefined;
    return { value: undefined, done: true };
  }

  [Symbol.iterator](): this {
    return this;
  }
}
Object.setPrototypeOf(Cursor.prototype, IteratorPrototype);

function placeAfter(key: string, order: readonly Node[]): number {
  let low = 0;
  let high = order.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareKeys((order[middle] as Node).key, key) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

export const iterateKeys = (view: View): IterableIterator<string> =>
  new Cursor(view, KEYS) as unknown as IterableIterator<string>;
export const iterateValues = <T>(view: View): IterableIterator<T> =>
  new Cursor(view, VALUES) as unknown as IterableIterator<T>;
export const iterateEntries = <T>(view: View): IterableIterator<[string, T]> =>
  new Cursor(view, ENTRIES) as unknown as IterableIterator<[string, T]>;
