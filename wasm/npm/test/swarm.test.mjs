// Ten members of a pool in two processes, on lines that are cut.

import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { createServer, connect } from "node:net";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { startRelay } from "../../../tools/relay.mjs";
import { tempDir } from "./house.mjs";

const long = Boolean(process.env.NEAP_LONG);
const ITEMS = long ? 10_000 : 2_000;
/** How often each line is cut, and after how many bytes that have gone down it. */
const CUTS = long ? 8 : 3;
const CUT_BYTES = ITEMS;

/** A line to the relay that is cut as things come down it. */
async function countedLine(t, relay) {
  const port = Number(new URL(relay.url).port);
  const line = { bytes: 0, cuts: 0 };
  const sockets = new Set();
  const server = createServer((client) => {
    const up = connect(port, "127.0.0.1");
    const end = () => [client, up].forEach((socket) => (socket.destroy(), sockets.delete(socket)));
    for (const socket of [client, up]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", end);
    }
    client.on("data", (bytes) => up.write(bytes));
    up.on("data", (bytes) => {
      line.bytes += bytes.length;
      if (line.cuts < CUTS && line.bytes > (line.cuts + 1) * CUT_BYTES) {
        line.cuts += 1;
        return end();
      }
      client.write(bytes);
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => (sockets.forEach((socket) => socket.destroy()), server.close()));
  return Object.assign(line, { url: `http://127.0.0.1:${server.address().port}` });
}

/** Five members in a process of their own; resolves with what they have come to. */
function crowd(t, orders) {
  const child = fork(fileURLToPath(new URL("swarm.mjs", import.meta.url)));
  t.after(() => child.kill());
  return new Promise((resolve, reject) => {
    child.once("message", resolve);
    child.once("exit", (code) => reject(new Error(`a process of members ended with ${code}`)));
    child.send(orders);
  });
}

test("ten members in two processes add overlapping items through cuts: equal, converged, nothing told twice", async (t) => {
  const relay = await startRelay({ data: tempDir(t) });
  t.after(() => relay.stop());
  const lines = await Promise.all(Array.from({ length: 10 }, () => countedLine(t, relay)));
  const urls = lines.map(({ url }) => url);
  const orders = (seed, from) => ({ id: "crowd", seed, count: ITEMS, urls: urls.slice(from, from + 5) });
  const told = await Promise.all([crowd(t, orders(100, 0)), crowd(t, orders(200, 5))]);
  const added = told.reduce((sum, one) => sum + one.added, 0);
  const members = told.flatMap((one) => one.members);
  assert.deepEqual(told.map(({ refused }) => refused), [0, 0]);
  assert.ok(added > 4 * ITEMS, "what was added overlaps");
  assert.equal(members.length, 10);
  for (const member of members) assert.deepEqual(member, members[0]);
  assert.deepEqual([members[0].seq, members[0].size], [ITEMS, ITEMS], "each item took one seq");
  assert.ok(lines.every((line) => line.cuts === CUTS), `cuts: ${lines.map((line) => line.cuts)}`);
  const sent = told.flatMap((one) => one.told);
  t.diagnostic(`${added} additions of ${ITEMS} items; each member was told of ${sent}; bytes: ${lines.map((line) => line.bytes)}`);
  // Had duplicates been told, each member would have heard of more than four for each item.
  assert.ok(sent.every((items) => items >= ITEMS && items < 1.1 * ITEMS), `${sent}`);
  const read = await (await fetch(`${relay.url}/v1/datastores/crowd/pools/crowd/items?limit=10000`)).json();
  assert.deepEqual([read.items.length, read.seq], [ITEMS, ITEMS]);
});
