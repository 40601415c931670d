// The hooks in real React, on a DOM in Node, StrictMode included.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Window } from "happy-dom";
import { open } from "../dist/index.js";
import { startRelay } from "../../../tools/relay.mjs";
import { tempDir, until } from "./house.mjs";

const window = new Window();
Object.assign(globalThis, { window, document: window.document, IS_REACT_ACT_ENVIRONMENT: true });
// React looks for the DOM when it is loaded.
const React = await import("react");
const { act, createElement: h, StrictMode, Component } = React;
const { createRoot, hydrateRoot } = await import("react-dom/client");
const { renderToString } = await import("react-dom/server");
const { useDatastore, usePool, usePresence, useRecord, useRecords, useStatus } = await import("../dist/react.js");

const local = { relay: null, storage: "memory" };

function mount(t, { strict = true, container = document.createElement("div") } = {}) {
  const root = createRoot(container);
  const wrap = (element) => (strict ? h(StrictMode, null, element) : element);
  t.after(() => act(() => root.unmount()));
  return {
    root,
    show: (element) => act(async () => root.render(wrap(element))),
    end: () => act(async () => root.unmount()),
    get text() {
      return container.textContent;
    },
  };
}

async function store(t) {
  const ds = await open(local);
  t.after(() => ds.close());
  return ds;
}

/** Lets React show in its own time what has come meanwhile, until `holds`. */
async function seen(holds, what) {
  globalThis.IS_REACT_ACT_ENVIRONMENT = false;
  await until(holds, what);
  globalThis.IS_REACT_ACT_ENVIRONMENT = true;
}

/** A component that keeps each datastore which it was given. */
function keeper() {
  const given = [];
  const Keeper = ({ options }) => {
    const ds = useDatastore(options);
    if (ds && given.at(-1) !== ds) given.push(ds);
    return ds ? ds.id : "opening";
  };
  return [Keeper, given];
}

test("a datastore opens once in StrictMode, whatever renders again, and closes with its component", async (t) => {
  const relay = await startRelay({ data: tempDir(t) });
  t.after(() => relay.stop());
  const sockets = [];
  class Counted extends WebSocket {
    constructor(...args) {
      super(...args);
      sockets.push(this);
    }
  }
  const options = () => ({ relay: relay.url, id: "once", storage: "memory", WebSocket: Counted, token: () => "t" });
  const [Keeper, given] = keeper();
  const page = mount(t);
  await page.show(h(Keeper, { options: options() }));
  await seen(() => page.text === "once", "the datastore");
  await page.show(h(Keeper, { options: options() }));
  await given[0].ready;
  assert.equal(given.length, 1);
  // One that goes while another comes: nothing closes between.
  await page.show(h(Keeper, { key: "another", options: options() }));
  assert.equal(page.text, "once");
  assert.equal(given.length, 1);
  assert.equal(sockets.length, 1);
  await page.end();
  await until(() => given[0].status.connection === "closed", "its end");
  await until(() => sockets[0].readyState === WebSocket.CLOSED, "the end of the socket");
  assert.equal(sockets.length, 1);
});

test("other options close the datastore and open another one; the same content does not", async (t) => {
  const [Keeper, given] = keeper();
  const page = mount(t);
  await page.show(h(Keeper, { options: { ...local, id: "one" } }));
  await seen(() => page.text === "one", "the first");
  await page.show(h(Keeper, { options: { id: "one", kind: undefined, storage: "memory", relay: null } }));
  assert.equal(given.length, 1);
  await page.show(h(Keeper, { options: { ...local, id: "two" } }));
  await seen(() => page.text === "two", "the second");
  await until(() => given[0].status.connection === "closed", "the end of the first");
  assert.notEqual(given[1].status.connection, "closed");
  assert.equal(given.length, 2);
});

test("what has expired, or was closed or forgotten, opens anew with a component that is mounted anew", async (t) => {
  const relay = await startRelay({ data: tempDir(t) });
  t.after(() => relay.stop());
  const ends = [(ds) => ds.close(), (ds) => ds.forget(), (ds) => fetch(`${relay.url}/v1/datastores/${ds.id}`, { method: "DELETE" })];
  for (const [place, end] of ends.entries()) {
    const options = { relay: relay.url, id: `anew-${place}`, storage: "memory" };
    const [Keeper, given] = keeper();
    const page = mount(t);
    await page.show(h(Keeper, { options }));
    await seen(() => given.length === 1, "the first");
    await given[0].ready;
    let expired = 0;
    given[0].on("expired", () => (expired += 1));
    await end(given[0]);
    await until(() => expired || given[0].status.connection === "closed", "its end");
    await page.show(h(Keeper, { key: "anew", options }));
    await seen(() => given.length === 2, "another");
    await given[1].ready;
    await until(() => given[0].status.connection === "closed", "the end of the first");
    assert.equal(given[1].status.connection, "live");
    await page.end();
  }
});

test("of token functions the newest is asked, though it opens nothing anew", async (t) => {
  const relay = await startRelay({ data: tempDir(t) });
  t.after(() => relay.stop());
  const [Keeper, given] = keeper();
  const view = mount(t);
  const asked = [];
  const with_ = (name) => ({ relay: relay.url, id: "d", storage: "memory", token: async () => (asked.push(name), "t") });
  await view.show(h(Keeper, { options: with_("first") }));
  await seen(() => given[0]?.status.connection === "live", "live");
  await view.show(h(Keeper, { options: with_("second") }));
  given[0].goOffline();
  given[0].goOnline();
  await given[0].ready;
  await seen(() => asked.length === 2, "another token");
  assert.deepEqual([asked, given.length], [["first", "second"], 1]);
});

test("components share what has an id, and only that", async (t) => {
  const [Keeper, given] = keeper();
  const page = mount(t);
  const two = (options) => h("div", null, h(Keeper, { options }), "/", h(Keeper, { options: { ...options } }));
  await page.show(two({ ...local, id: "both" }));
  await seen(() => page.text === "both/both", "both");
  assert.equal(new Set(given).size, 1);
  await page.show(two(local));
  await seen(() => /^[0-9a-f]{32}\/[0-9a-f]{32}$/.test(page.text), "fresh ones");
  assert.equal(new Set(page.text.split("/")).size, 2);
});

test("a component that goes before the datastore is open leaves none open", async (t) => {
  const relay = await startRelay({ data: tempDir(t) });
  t.after(() => relay.stop());
  const sockets = [];
  class Counted extends WebSocket {
    constructor(...args) {
      super(...args);
      sockets.push(this);
    }
  }
  const [Keeper, given] = keeper();
  const page = mount(t);
  act(() => page.root.render(h(Keeper, { options: { relay: relay.url, id: "hasty", storage: "memory", WebSocket: Counted } })));
  await page.end();
  assert.deepEqual(given, [], "it went first");
  const later = await open({ relay: relay.url, id: "hasty", storage: "memory" });
  t.after(() => later.close());
  await later.ready;
  assert.ok(sockets.length <= 1);
  // Node leaves a socket at CLOSING that was closed before it stood.
  await until(() => sockets.every(({ readyState }) => readyState >= WebSocket.CLOSING), "the end of the socket");
});

test("what open rejects reaches the error boundary", async (t) => {
  class Boundary extends Component {
    state = {};
    static getDerivedStateFromError = (error) => ({ code: error.code });
    render() {
      return this.state.code ?? this.props.children;
    }
  }
  const [Keeper] = keeper();
  const page = mount(t);
  const { error } = console;
  console.error = () => {};
  t.after(() => (console.error = error));
  await page.show(h(Boundary, null, h(Keeper, { options: { ...local, id: "no name" } })));
  await seen(() => page.text === "invalid-name", "the error");
});

test("records follow writes; another query shows at once; the end stops listening", async (t) => {
  const ds = await store(t);
  const tasks = ds.collection("tasks");
  let [begun, ended] = [0, 0];
  const { subscribe, query } = tasks;
  tasks.subscribe = (listener) => {
    const end = subscribe.call(tasks, listener);
    begun += 1;
    return () => (end(), (ended += 1));
  };
  tasks.query = (options) => {
    const live = query.call(tasks, options);
    const { close } = live;
    begun += 1;
    live.close = () => (close.call(live), (ended += 1));
    return live;
  };
  tasks.set({ id: "a", n: 2, done: false });
  tasks.set({ id: "b", n: 1, done: true });
  let renders = 0;
  const List = ({ query }) => {
    renders += 1;
    return useRecords(tasks, query).map(({ id }) => id).join();
  };
  const page = mount(t);
  await page.show(h(List));
  assert.equal(page.text, "a,b");
  await act(async () => void tasks.set({ id: "c", n: 0, done: false }));
  assert.equal(page.text, "a,b,c");
  await page.show(h(List, { query: { where: { done: false }, orderBy: "n" } }));
  assert.equal(page.text, "c,a");
  renders = 0;
  await page.show(h(List, { query: { where: { done: false }, orderBy: "n" } }));
  assert.equal(renders, 2, "one render, which StrictMode doubles");
  await act(async () => void tasks.patch("b", { done: false }));
  assert.equal(page.text, "c,b,a");
  // A predicate that is another one each time must not make it render for ever.
  await page.show(h(() => useRecords(tasks, { where: ({ n }) => n > 0 }).length));
  assert.equal(page.text, "2");
  // What is left open is not the text of that name.
  await act(async () => void tasks.set({ id: "d", n: 9, done: "undefined" }));
  for (const [done, found] of [[undefined, ""], ["undefined", "d"], [undefined, ""]]) {
    await page.show(h(List, { query: { where: { done } } }));
    assert.equal(page.text, found);
  }
  await page.show(h(() => useRecords(undefined).length));
  assert.equal(page.text, "0");
  await page.end();
  assert.ok(begun > 3);
  assert.equal(ended, begun, "nobody listens any more");
});

test("what is written between a render and its subscription is not missed", async (t) => {
  const ds = await store(t);
  const tasks = ds.collection("tasks");
  const Late = () => {
    const found = useRecords(tasks);
    React.useLayoutEffect(() => void (tasks.has("late") || tasks.set({ id: "late" })), []);
    return `${found.length} ${useRecord(tasks, "late")?.id ?? "none"}`;
  };
  const page = mount(t);
  await page.show(h(Late));
  assert.equal(page.text, "1 late");
});

test("one record renders for its own changes alone", async (t) => {
  const ds = await store(t);
  const tasks = ds.collection("tasks");
  tasks.set({ id: "a", n: 1 });
  let renders = 0;
  const One = ({ id }) => {
    renders += 1;
    return String(useRecord(tasks, id)?.n);
  };
  const page = mount(t, { strict: false });
  await page.show(h(One, { id: "a" }));
  assert.deepEqual([page.text, renders], ["1", 1]);
  await act(async () => void tasks.set({ id: "b", n: 5 }));
  assert.equal(renders, 1);
  await act(async () => void tasks.patch("a", { n: 2 }));
  assert.deepEqual([page.text, renders], ["2", 2]);
  await page.show(h(One, { id: "b" }));
  assert.equal(page.text, "5");
  await act(async () => void tasks.delete("b"));
  assert.equal(page.text, "undefined");
});

test("status follows what is pending", async (t) => {
  const ds = await store(t);
  const page = mount(t);
  const Told = ({ of }) => useStatus(of)?.pending ?? "none";
  await page.show(h(Told, {}));
  assert.equal(page.text, "none");
  await page.show(h(Told, { of: ds }));
  assert.equal(page.text, "0");
  await act(async () => void ds.collection("tasks").set({ id: "a" }));
  assert.equal(page.text, "1");
});

test("a pool: its items, whether all hold them, and how to add", async (t) => {
  const relay = await startRelay({ data: tempDir(t) });
  t.after(() => relay.stop());
  const [ada, ben] = await Promise.all([1, 2].map(() => open({ relay: relay.url, id: "pool", storage: "memory" })));
  t.after(() => Promise.all([ada.close(), ben.close()]));
  const page = mount(t);
  let add;
  let renders = 0;
  const Items = ({ of }) => {
    renders += 1;
    const { items, converged, add: given } = usePool(of);
    add = given;
    return `${items.length} ${converged}`;
  };
  await page.show(h(Items, {}));
  assert.deepEqual([page.text, add], ["0 false", undefined]);
  await page.show(h(Items, { of: ada.pool("p") }));
  await act(async () => void add(["a", "b"]));
  assert.match(page.text, /^2/);
  const other = ben.pool("p");
  await seen(() => page.text === "2 true", "convergence");
  other.add("c");
  await seen(() => page.text === "3 true", "the other's item");
  const before = renders;
  await act(async () => void add("c"));
  assert.equal(renders, before, "what is known changes nothing");
  await act(async () => ben.close());
  await act(async () => ada.goOffline());
  assert.equal(page.text, "3 false");
  assert.equal(renderToString(h(Items, { of: ada.pool("p") })), "0 false");
});

test("a server renders the empty state, and the page takes it over without complaint", async (t) => {
  const ds = await store(t);
  const tasks = ds.collection("tasks");
  tasks.set({ id: "a" });
  const [Keeper] = keeper();
  const App = () => h("p", null, useRecords(tasks).length, useRecord(tasks, "a")?.id ?? "-", useStatus(ds).connection, h(Keeper, { options: { ...local, id: "served" } }));
  const container = document.createElement("div");
  container.innerHTML = renderToString(h(App));
  assert.equal(container.textContent, "0-offlineopening");
  const complaints = [];
  const root = await act(async () => hydrateRoot(container, h(App), { onRecoverableError: (error) => complaints.push(error) }));
  t.after(() => act(() => root.unmount()));
  await seen(() => container.textContent.endsWith("served"), "the page");
  assert.match(container.textContent, /^1a/);
  assert.deepEqual(complaints, []);
});

test("presence renders when somebody comes, changes or goes", async (t) => {
  const relay = await startRelay({ data: tempDir(t) });
  t.after(() => relay.stop());
  const [ada, ben] = await Promise.all([1, 2].map(() => open({ relay: relay.url, id: "presence", storage: "memory" })));
  t.after(() => Promise.all([ada.close(), ben.close()]));
  let set;
  const Others = ({ ds }) => {
    const presence = usePresence(ds);
    set = presence.set;
    return `${JSON.stringify(presence.self)} ${JSON.stringify([...presence.others.values()])}`;
  };
  assert.equal(renderToString(h(Others, { ds: ada })), "undefined []".replaceAll('"', "&quot;"));
  const page = mount(t);
  await page.show(h(Others, {}));
  set("to nobody");
  assert.equal(page.text, "undefined []");
  await page.show(h(Others, { ds: ada }));
  const mine = set;
  await act(async () => set({ x: 1 }));
  assert.equal(page.text, '{"x":1} []');
  assert.equal(set, mine);
  ben.presence.set("ben");
  await seen(() => page.text === '{"x":1} ["ben"]', "ben");
  await until(() => ben.presence.others.size === 1, "ada");
  await ben.close();
  await seen(() => page.text === '{"x":1} []', "the end of ben");
});
