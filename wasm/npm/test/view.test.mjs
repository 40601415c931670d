// Keys, their order, and the records that are kept in JavaScript.

import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf, random, source } from "./house.mjs";

const { checkKey, checkName, compareKeys, isLow, utf8Length } = await source("key.ts");
const { View, iterateEntries, iterateKeys, iterateValues } = await source("view.ts");

test("a key has 1 to 512 bytes of UTF-8 and no lone surrogate", () => {
  for (const key of ["a", "😀", "ä".repeat(256), "x".repeat(512), "\u0000", "__proto__"]) assert.equal(checkKey(key), key);
  for (const key of ["", undefined, null, 7, {}, "x".repeat(513), "ä".repeat(257), "€".repeat(171), "\ud800", "a\udfff"])
    assert.equal(codeOf(() => checkKey(key)), "invalid-key");
});

test("a name has 1 to 64 of A-Z a-z 0-9 _ -", () => {
  for (const name of ["a", "A-b_9", "x".repeat(64)]) assert.equal(checkName(name), name);
  for (const name of ["", "a b", "ä", "x".repeat(65), "a\n", undefined, 1]) assert.equal(codeOf(() => checkName(name)), "invalid-name");
});

const pieces = ["a", "b", "Z", "~", "ä", "\u07ff", "\u0800", "€", "\ud7ff", "\ue000", "\uffff", "😀", "\u{10ffff}", "\u0000"];
const someText = (dice, most) => Array.from({ length: dice(most) }, () => pieces[dice(pieces.length)]).join("");

test("keys stand in the order of their UTF-8 bytes", () => {
  const dice = random(3);
  for (let round = 0; round < 20_000; round++) {
    const [one, other] = [someText(dice, 5), someText(dice, 5)];
    const expected = Buffer.compare(Buffer.from(one), Buffer.from(other));
    assert.equal(Math.sign(compareKeys(one, other)), expected, JSON.stringify([one, other]));
    if (isLow(one) && isLow(other)) assert.equal(one < other ? -1 : Number(one > other), expected);
    assert.equal(utf8Length(one), Buffer.byteLength(one));
  }
});

/** A core for the view: a Map of JSON, and counts of what was asked of it. */
function fakeSource(records) {
  const asked = { fetch: 0, dump: 0 };
  const sorted = () => [...records.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const source = {
    fetch(key) {
      asked.fetch += 1;
      return records.has(key) ? Object.freeze(JSON.parse(records.get(key))) : undefined;
    },
    has: (key) => records.has(key),
    size: () => records.size,
    dump(each) {
      asked.dump += 1;
      for (const key of sorted()) each(key, JSON.parse(records.get(key)));
    },
  };
  return { source, asked, sorted };
}

test("a record is fetched once and stays the same object until it changes", () => {
  const records = new Map([["a", '{"n":1}'], ["b", '{"n":2}']]);
  const { source, asked } = fakeSource(records);
  const view = new View(source);
  const first = view.get("a");
  assert.equal(view.get("a"), first);
  assert.equal(asked.fetch, 1);
  assert.deepEqual([...iterateValues(view)], [{ n: 1 }, { n: 2 }]);
  assert.equal([...iterateValues(view)][0], first);
  records.set("a", '{"n":3}');
  view.invalidate(["a"]);
  assert.deepEqual(view.get("a"), { n: 3 });
  assert.equal(view.get("a"), view.get("a"));
  assert.equal(asked.dump, 1);
  assert.equal(view.get("c"), undefined);
  assert.equal(view.get("\ud800"), undefined);
  assert.equal(view.get(undefined), undefined);
});

test("whatever happens, the view reads as a sorted map would", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const dice = random(seed);
    const records = new Map();
    const { source, sorted } = fakeSource(records);
    const view = new View(source);
    if (dice(2)) for (let n = 0; n < 30; n++) records.set(someText(dice, 3) + n, `{"n":${n}}`);
    else view.startComplete();
    const anyKey = () => (records.size && dice(2) ? [...records.keys()][dice(records.size)] : `${someText(dice, 3)}${dice(40)}`);
    for (let step = 0; step < 300; step++) {
      const key = anyKey();
      const record = Object.freeze({ n: 1000 + step });
      switch (dice(9)) {
        case 0:
          view.put(key, record);
          records.set(key, JSON.stringify(record));
          break;
        case 1:
          records.delete(key);
          view.take(key, null);
          break;
        case 2:
          records.set(key, JSON.stringify(record));
          view.take(key, record);
          break;
        case 3: {
          const keys = [key, anyKey(), anyKey()];
          if (dice(2)) records.delete(keys[0]);
          else records.set(keys[0], JSON.stringify(record));
          view.invalidate(keys);
          break;
        }
        case 4:
          assert.deepEqual(view.get(key), records.has(key) ? JSON.parse(records.get(key)) : undefined);
          break;
        case 5:
          assert.equal(view.has(key), records.has(key));
          break;
        case 6:
          assert.equal(view.size(), records.size);
          break;
        case 7:
          view.owe(() => view.put(key, record));
          records.set(key, JSON.stringify(record));
          break;
        default:
          assert.deepEqual([...iterateKeys(view)], sorted());
          assert.deepEqual([...iterateEntries(view)], sorted().map((at) => [at, JSON.parse(records.get(at))]));
      }
    }
  }
});

test("what is owed is put in its order, by whoever looks first", () => {
  const looks = [(view) => view.get("a"), (view) => view.has("a"), (view) => view.peek("a"), (view) => view.size(), (view) => view.isEmpty];
  const others = [(view) => view.order(), (view) => iterateKeys(view).next(), (view) => view.take("a", null), (view) => view.invalidate(["a"])];
  for (const look of [...looks, ...others, (view) => view.put("b", {}), (view) => view.settle()]) {
    const view = new View(fakeSource(new Map()).source);
    view.startComplete();
    const done = [];
    for (const n of [1, 2]) view.owe(() => done.push(n, view.put("a", Object.freeze({ n }))?.n));
    assert.deepEqual(done, []);
    look(view);
    assert.deepEqual(done, [1, undefined, 2, 1], String(look));
    look(view);
    assert.equal(done.length, 4);
  }
});

test("what is owed is bounded", () => {
  const view = new View(fakeSource(new Map()).source);
  view.startComplete();
  let owed = 0;
  let most = 0;
  for (let n = 0; n < 1000; n++) {
    most = Math.max(most, (owed += 1));
    view.owe(() => (owed -= 1, view.put("a", Object.freeze({ n }))));
  }
  assert.equal(most, 100);
  assert.deepEqual(view.get("a"), { n: 999 });
});

test("iterating sees what is added before its turn, not what is deleted before it, and nothing twice", () => {
  const { source } = fakeSource(new Map());
  const view = new View(source);
  view.startComplete();
  const put = (...keys) => keys.forEach((key) => view.put(key, Object.freeze({ key })));
  put("a", "b", "c", "d");
  const seen = [];
  for (const [key] of iterateEntries(view)) {
    seen.push(key);
    if (key === "a") {
      view.take("b", null);
      put("0", "bb");
    }
    if (key === "bb") {
      view.take("a", null);
      view.take("c", null);
      view.owe(() => put("x"));
      [...iterateKeys(view)];
      put("a", "c", "\u{1f30a}", "\uffff");
    }
  }
  assert.deepEqual(seen, ["a", "bb", "c", "d", "x", "\uffff", "\u{1f30a}"]);
  assert.deepEqual([...iterateKeys(view)], ["0", ...seen]);
  const over = iterateKeys(view);
  assert.equal([...over].length, 8);
  put("z");
  assert.equal(over.next().done, true);
});

test("iterators are the platform's kind", () => {
  const view = new View(fakeSource(new Map([["a", "{}"]])).source);
  const iterator = iterateKeys(view);
  assert.equal(iterator[Symbol.iterator](), iterator);
  assert.equal(Object.prototype.toString.call([].values()).startsWith("[object"), true);
  assert.deepEqual([iterator.next(), iterator.next(), iterator.next()], [
    { value: "a", done: false },
    { value: undefined, done: true },
    { value: undefined, done: true },
  ]);
  if (globalThis.Iterator) assert.ok(iterator instanceof Iterator);
});

test("keys that are gone take no room, whether anybody iterates or not, and who is at it misses nothing", () => {
  for (const reads of [false, true]) {
    const view = new View({ fetch: () => undefined, has: () => false, size: () => 0, dump: () => {} });
    view.startComplete();
    const keys = Array.from({ length: 10_000 }, (_, n) => String(n).padStart(5, "0"));
    const stays = (n) => n % 1000 === 0;
    if (reads) view.order();
    for (const [n, key] of keys.entries()) {
      view.put(key, { id: key });
      if (!stays(n)) view.take(key, null);
    }
    assert.equal(view.size(), 10);
    assert.ok(view.index.size < 1100 && view.added.length < 1100, `${view.index.size} and ${view.added.length} are kept`);
    for (const key of keys) view.put(key, { id: key });
    const seen = [];
    for (const key of iterateKeys(view)) {
      seen.push(key);
      if (seen.length === 5000) for (const [n, key] of keys.entries()) if (!stays(n)) view.take(key, null);
    }
    assert.deepEqual(seen, [...keys.slice(0, 5000), ...keys.slice(5000).filter((_, n) => stays(n))]);
    assert.ok(view.index.size < 1100);
  }
});
