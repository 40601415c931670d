// The first message to an object that has slept: with all records in it, and with none. All of them sleep at once, with
// one client each that stays connected; then they are woken one after the other. A third one of each relay goes first
// and is not timed: what its process has to fetch again after a rest is no object's fault.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startRelay } from "../tools/relay.mjs";
import { at } from "../tools/house.mjs";
import { records, unpaced } from "./data.mjs";
import { write } from "./joiners.mjs";

/** Longer than the 10 s after which an object sleeps, and the 5 s after which tldraw keeps a session. */
const SLEEP_MS = 16_500;

const OBJECTS = ["first", "full", "empty"];

const built = (name, connect, says, most = Infinity) => ({ says, connect, most, start: (data) => startRelay({ data, build: at("bench", "build", name) }) });

/** `connect` gives a function that says one thing and resolves when it is answered. */
export const sleepers = {
  raw: built("raw", raw, "limit: a Durable Object that inserts the message and sends it back"),
  neap: {
    says: "a mutation until it is settled: restored, decided, committed, acknowledged",
    connect: neap,
    start: (data) => startRelay({ data, vars: unpaced }),
  },
  "y-partyserver": built("y-party", yjs, "the answer to a state vector; the document is loaded whole"),
  "tinybase-persisted": built("tinybase-persisted", tinybase, "the answer to a question for hashes; the store, of 20 000 records at most, is loaded whole. It drops what it hears before it has begun, so it is asked again every 20 ms", 20_000),
  tldraw: built("tldraw", tldraw, "a push until it is committed, by TLSocketRoom's own support for hibernation"),
};

/** Starts all of them and fills one object of each. */
export async function prepare(count) {
  const home = mkdtempSync(join(tmpdir(), "neap-bench-"));
  const asleep = {};
  const end = async () => {
    for (const { relay } of Object.values(asleep)) await relay.stop();
    rmSync(home, { recursive: true, force: true });
  };
  try {
    for (const [name, { start, connect, most }] of Object.entries(sleepers)) {
      const relay = await start(join(home, name));
      asleep[name] = { relay };
      if (name === "neap") await write(relay.url, records(count), "full");
      else await filled(relay.url, Math.min(count, most));
      for (const id of OBJECTS) {
        asleep[name][id] = await connect(relay.url, id);
        await asleep[name][id]();
      }
      asleep[name].births = await births(name, relay.url);
    }
  } catch (error) {
    await end();
    throw error;
  }
  return { rest: () => new Promise((done) => setTimeout(done, SLEEP_MS)), run: (name) => wake(name, asleep[name]), end };
}

async function wake(name, one) {
  await one.first();
  const emptyMs = await took(one.empty);
  const fullMs = await took(one.full);
  const now = await births(name, one.relay.url);
  if (now - one.births !== OBJECTS.length) throw new Error(`${name}: ${now - one.births} of ${OBJECTS.length} objects have slept`);
  one.births = now;
  return { operations: 1, fullMs, emptyMs };
}

/** How often the objects have been made, or woken, so far. */
async function births(name, url) {
  const told = async (path) => (await fetch(`${url}${path}`)).json();
  if (name !== "neap") return told("/v1/births");
  const wakes = await Promise.all(OBJECTS.map(async (id) => (await told(`/v1/datastores/${id}/stats`)).wakes));
  return wakes.reduce((sum, some) => sum + some, 0);
}

async function filled(url, count) {
  const answer = await fetch(`${url}/v1/datastores/full/socket?records=${count}`, { method: "POST" });
  if (!answer.ok) throw new Error(`not filled: ${answer.status} ${await answer.text()}`);
}

async function took(ask) {
  const start = performance.now();
  await ask();
  return performance.now() - start;
}

/** A socket on which one thing is asked at a time: `ask(what, isAnswer)`, and again every so many ms, if given. */
async function socket(url, id) {
  const socket = new WebSocket(`${url.replace("http", "ws")}/v1/datastores/${id}/socket`);
  socket.binaryType = "arraybuffer";
  await new Promise((done, fail) => ((socket.onopen = done), (socket.onerror = fail)));
  return async (what, isAnswer, every) => {
    const say = () => socket.send(what);
    const again = every && setInterval(say, every);
    const answered = new Promise((done) => {
      socket.onmessage = ({ data }) => {
        const answer = typeof data === "string" ? data : new Uint8Array(data);
        if (isAnswer(answer)) done(answer);
      };
    });
    say();
    const answer = await answered;
    clearInterval(again);
    return answer;
  };
}

async function raw(url, id) {
  const ask = await socket(url, id);
  return () => ask("a message", () => true);
}

async function neap(url, id) {
  const { open } = await import("neap");
  const ds = await open({ relay: url, id, kind: "permanent", storage: "memory" });
  await ds.ready;
  const tasks = ds.collection("tasks");
  let n = 0;
  return async () => {
    const { status } = await tasks.set({ id: "knock", n: (n += 1) }).settled;
    if (status !== "accepted") throw new Error(`neap: ${status}`);
  };
}

/** A client of y-partyserver: its call asks for what is missing in `doc`. */
export async function yjs(url, id) {
  const { applyUpdate, Doc, encodeStateVector } = await import("yjs");
  const { createDecoder, readVarUint, readVarUint8Array } = await import("lib0/decoding");
  const { createEncoder, toUint8Array, writeVarUint, writeVarUint8Array } = await import("lib0/encoding");
  const ask = await socket(url, id);
  const doc = new Doc();
  const sync = async () => {
    // Message 0 is of the sync protocol: step 1 tells a state vector, step 2 answers it.
    const question = createEncoder();
    for (const number of [0, 0]) writeVarUint(question, number);
    writeVarUint8Array(question, encodeStateVector(doc));
    const answer = createDecoder(await ask(toUint8Array(question), ([kind, step]) => kind === 0 && step === 1));
    for (let n = 0; n < 2; n += 1) readVarUint(answer);
    applyUpdate(doc, readVarUint8Array(answer));
  };
  await sync();
  return Object.assign(sync, { doc });
}

async function tinybase(url, id) {
  const ask = await socket(url, id);
  // Message 1 to the server's own client asks for the hashes of all content.
  return () => ask('S\n["knock",1,""]', (answer) => answer.includes('"knock",0'), 20);
}

async function tldraw(url, id) {
  const { chunk } = await import("@tldraw/sync-core");
  const { schema } = await import("./tldraw.mjs");
  const ask = await socket(url, id);
  const say = (message, isAnswer) => ask(chunk(JSON.stringify(message))[0], isAnswer);
  await say({ type: "connect", connectRequestId: "bench", lastServerClock: 0, protocolVersion: 8, schema: schema().serialize() }, () => true);
  let clientClock = 0;
  return () => {
    clientClock += 1;
    const record = { id: "task:knock", typeName: "task", n: clientClock };
    return say({ type: "push", clientClock, diff: { [record.id]: ["put", record] } }, (answer) => answer.includes("push_result"));
  };
}
