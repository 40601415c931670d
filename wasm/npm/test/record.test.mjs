// The walk that an app's data takes on its way in.

import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf, random, source } from "./house.mjs";

const { copyRecord, lastSize } = await source("record.ts");

const nested = (levels) => {
  let value = {};
  for (let level = 1; level < levels; level++) value = { value };
  return value;
};

const cycle = { id: "a" };
cycle.self = { cycle };

test("what is JSON is copied as JSON.stringify would see it, and frozen all through", () => {
  class Point {
    constructor() {
      this.x = 1;
    }
    get far() {
      return true;
    }
  }
  const shared = { n: [1, 2] };
  const samples = [
    { id: "a" },
    { id: "a", t: "text", n: 1.5, b: false, nil: null, list: [1, [2, {}]], deep: { er: { x: 1 } } },
    { id: "a", gone: undefined, kept: 1, in: { gone: undefined } },
    { id: "a", when: new Date(0), deep: { when: [new Date(1)] } },
    { id: "a", odd: { toJSON: (name) => ({ name }) } },
    { id: "a", twice: { toJSON: () => ({ toJSON: "a member" }) } },
    { id: "a", nothing: { toJSON: () => undefined } },
    { id: "a", point: new Point() },
    { id: "a", zero: -0, list: [-0] },
    { id: "a", one: shared, two: shared },
    { id: "ä€😀", "näme": "\u0000\"\\" },
    Object.create({ inherited: 1 }, { id: { value: "a", enumerable: true }, hidden: { value: 1 } }),
    Object.assign(Object.create(null), { id: "a" }),
    JSON.parse('{"id":"a","__proto__":{"x":1},"constructor":1,"in":{"__proto__":[1]}}'),
    nested(32),
  ];
  for (const sample of samples) {
    const copy = copyRecord(sample);
    assert.equal(JSON.stringify(copy), JSON.stringify(sample));
    assert.equal(Object.getPrototypeOf(copy) === null || Object.getPrototypeOf(copy) === Object.prototype || sample instanceof Object, true);
    const frozen = (value) => {
      if (typeof value !== "object" || value === null) return;
      assert.ok(Object.isFrozen(value), JSON.stringify(value));
      Object.values(value).forEach(frozen);
    };
    frozen(copy);
  }
});

test("the copy is nobody else's: what the app does later to its own data does not show", () => {
  const mine = { id: "a", deep: { list: [1] } };
  const copy = copyRecord(mine);
  mine.deep.list.push(2);
  mine.id = "b";
  assert.deepEqual(copy, { id: "a", deep: { list: [1] } });
  assert.ok(!Object.isFrozen(mine.deep));
});

test("a member named __proto__ stays a member", () => {
  const copy = copyRecord(JSON.parse('{"id":"a","__proto__":{"polluted":true},"gone":1}'));
  assert.ok(Object.hasOwn(copy, "__proto__"));
  assert.equal(copy.polluted, undefined);
  const source = JSON.parse('{"id":"a","__proto__":{"x":1}}');
  source.gone = undefined;
  assert.ok(Object.hasOwn(copyRecord(source), "__proto__"));
  assert.equal({}.polluted, undefined);
});

test("members that symbols name are no part of JSON, however deep they stand", () => {
  const name = Symbol("name");
  const copy = copyRecord({ id: "k", [name]: () => {}, deep: { n: 1, [name]: {} } });
  assert.deepEqual([Reflect.ownKeys(copy), Reflect.ownKeys(copy.deep)], [["id", "deep"], ["n"]]);
});

test("minus zero is zero, as every other replica reads it", () => {
  assert.ok(Object.is(copyRecord({ zero: -0 }).zero, 0));
});

test("what is not JSON is invalid-data", () => {
  const bad = [
    { f() {} },
    { f: Symbol("s") },
    { n: 1n },
    { n: NaN },
    { n: -Infinity },
    { list: [1, undefined] },
    { list: [() => 1] },
    { list: new Array(2) },
    { text: "\ud800" },
    { text: "a\udc00b" },
    { list: ["\ud800"] },
    { "\ud800": 1 },
    { map: new Map() },
    { set: new Set() },
    { bytes: new Uint8Array(1) },
    { re: /x/ },
    { date: new Date(NaN), and: { n: NaN } },
    nested(33),
    cycle,
    { toJSON: () => 1 },
    [1],
    "text",
    null,
    undefined,
    7,
    () => 1,
  ];
  for (const value of bad) assert.equal(codeOf(() => copyRecord(value)), "invalid-data");
});

test("what a getter or toJSON throws comes through", () => {
  const error = new Error("mine");
  const throwing = {
    get x() {
      throw error;
    },
  };
  assert.equal(codeOf(() => copyRecord(throwing)), error);
});

test("a record may have 256 KiB of JSON in UTF-8, and not one byte more", () => {
  const max = 256 * 1024;
  const room = max - JSON.stringify({ t: "" }).length;
  for (const [unit, bytes] of [["a", 1], ["ä", 2], ["€", 3], ["😀", 4], ["\u0001", 6], ['"', 2]]) {
    const fits = unit.repeat(Math.floor(room / bytes));
    assert.equal(codeOf(() => copyRecord({ t: fits })), "nothing thrown", unit);
    assert.equal(codeOf(() => copyRecord({ t: `${fits}${unit}` })), "too-large", unit);
  }
  const numbers = Array.from({ length: 26_000 }, () => 0.1 + 0.2);
  assert.equal(codeOf(() => copyRecord({ numbers })), "too-large");
  assert.equal(codeOf(() => copyRecord({ numbers: numbers.map(() => 1) })), "nothing thrown");
});

test("shared objects cannot make it work for ever", () => {
  let wide = { leaf: 1 };
  for (let level = 1; level < 32; level++) wide = { one: wide, two: wide };
  assert.equal(codeOf(() => copyRecord(wide)), "too-large");
});

test("the estimate is near the size of plain records", () => {
  const record = { id: "task-17", title: "Write the report number 17", done: false, pri: 2, ts: 1700000000017 };
  copyRecord(record);
  const exact = JSON.stringify(record).length;
  assert.ok(lastSize() > exact * 0.7 && lastSize() < exact * 1.5, `${lastSize()} of ${exact}`);
});

test("random data comes out as JSON.parse of JSON.stringify", () => {
  const dice = random(7);
  const texts = ["", "a", "ä", "😀", "\u2028", "__proto__", "toString", "x".repeat(50)];
  const make = (depth) => {
    switch (dice(depth > 4 ? 5 : 8)) {
      case 0:
        return null;
      case 1:
        return dice(2) === 0;
      case 2:
        return dice() / (dice(1000) + 1);
      case 3:
        return -dice(10);
      case 4:
        return texts[dice(texts.length)];
      case 5:
        return Array.from({ length: dice(4) }, () => make(depth + 1));
      default:
        return Object.fromEntries(Array.from({ length: dice(5) }, () => [texts[dice(texts.length)], make(depth + 1)]));
    }
  };
  for (let round = 0; round < 3000; round++) {
    const record = { id: "a", value: make(1) };
    assert.deepEqual(copyRecord(record), JSON.parse(JSON.stringify(record)));
  }
});
