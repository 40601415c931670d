// Presence of replicas on the real relay.

import assert from "node:assert/strict";
import { test } from "node:test";
import { startRelay } from "../../../tools/relay.mjs";
import { open } from "../dist/index.js";
import { codeOf, tempDir, until } from "./house.mjs";

async function replicas(t, count) {
  const relay = await startRelay({ data: tempDir(t) });
  t.after(() => relay.stop());
  const all = [];
  const sent = [];
  class Counted extends WebSocket {
    send(data) {
      // An Up frame of this kind shows something.
      if (data[0] === 5) sent.push(performance.now());
      super.send(data);
    }
  }
  for (let n = 0; n < count; n++) {
    const ds = await open({ relay: relay.url, id: "presence", storage: "memory", WebSocket: Counted });
    t.after(() => ds.close());
    await ds.ready;
    all.push(ds);
  }
  return { all, sent, relay };
}

const states = (ds) => [...ds.presence.others.values()];
const sees = (ds, expected) => until(() => JSON.stringify(states(ds)) === JSON.stringify(expected), JSON.stringify(expected));

test("each sees what the others show, for as long as they are connected", async (t) => {
  const { all: [ada, ben], relay } = await replicas(t, 2);
  assert.equal(ada.presence.self, undefined);
  assert.equal(ada.presence.others.size, 0);
  let calls = 0;
  const end = ben.presence.subscribe((others) => {
    assert.equal(others, ben.presence.others);
    calls += 1;
  });
  const cursor = { x: 1, gone: undefined, deep: [{ y: 2 }] };
  ada.presence.set(cursor);
  assert.equal(calls, 0);
  cursor.x = 9;
  assert.deepEqual(ada.presence.self, { x: 1, deep: [{ y: 2 }] });
  assert.ok(Object.isFrozen(ada.presence.self.deep[0]));
  await sees(ben, [{ x: 1, deep: [{ y: 2 }] }]);
  assert.equal(calls, 1);
  assert.ok(Object.isFrozen(states(ben)[0].deep[0]));
  const [name] = ben.presence.others.keys();
  ada.presence.set("typing");
  await sees(ben, ["typing"]);
  assert.deepEqual([...ben.presence.others.keys()], [name], "one name as long as the connection");
  assert.deepEqual(states(ada), [], "nobody hears himself");
  ben.presence.set(0);
  await sees(ada, [0]);

  // Offline nobody is there; on return everybody is, and sees what was shown before.
  ada.goOffline();
  assert.deepEqual(states(ada), []);
  await sees(ben, []);
  ada.goOnline();
  await Promise.all([sees(ada, [0]), sees(ben, ["typing"])]);
  ada.presence.set(null);
  assert.equal(ada.presence.self, undefined);
  await sees(ben, []);
  end();
  const before = calls;
  ada.presence.set(false);
  await sees(ben, [false]);
  assert.equal(calls, before);

  // A page that is loaded anew is another one.
  await ada.close();
  assert.equal(codeOf(() => ada.presence.set(1)), "closed");
  await sees(ben, []);
  const again = await open({ relay: relay.url, id: "presence", storage: "memory" });
  t.after(() => again.close());
  await sees(again, [0]);
  again.presence.set([]);
  await sees(ben, [[]]);
  assert.deepEqual([ben.seq, ben.status.pending], [0, 0]);
});

test("a state that is no JSON or too large is told at the call and changes nothing", async (t) => {
  const { all: [ada, ben] } = await replicas(t, 2);
  const largest = "é".repeat(2047);
  ada.presence.set(largest);
  for (const [state, code] of [
    [() => 1, "invalid-data"],
    [Number.NaN, "invalid-data"],
    [{ deep: [undefined] }, "invalid-data"],
    [10n, "invalid-data"],
    [`${largest}x`, "too-large"],
    ["x".repeat(300_000), "too-large"],
  ])
    assert.equal(codeOf(() => ada.presence.set(state)), code);
  assert.equal(codeOf(() => ada.presence.subscribe()), "invalid-options");
  assert.equal(ada.presence.self, largest);
  await sees(ben, [largest]);
  assert.equal(ada.status.connection, "live");
});

test("who listens no more is told nothing, also within the round in which that ended", async (t) => {
  const { all: [ada, ben] } = await replicas(t, 2);
  const told = [];
  ben.presence.subscribe(() => {
    told.push("first");
    end();
  });
  const end = ben.presence.subscribe(() => told.push("second"));
  ada.presence.set(1);
  await sees(ben, [1]);
  assert.deepEqual(told, ["first"]);
});

test("at most twenty states a second are sent, the newest among them", async (t) => {
  const { all: [ada, ben], sent } = await replicas(t, 2);
  const start = performance.now();
  let n = 0;
  while (performance.now() - start < 500) {
    ada.presence.set({ n: ++n });
    await new Promise((resolve) => setImmediate(resolve));
  }
  await sees(ben, [{ n }]);
  t.diagnostic(`${n} states, ${sent.length} sent`);
  assert.ok(n > 100 && sent.length >= 2 && sent.length <= 12, `${sent.length} of ${n}`);
  const before = sent.length;
  ada.presence.set({ n });
  ada.presence.set({ n: 0 });
  await sees(ben, [{ n: 0 }]);
  assert.equal(sent.length, before + 1);
});
