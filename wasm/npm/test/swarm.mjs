// Members of one pool in a process of their own, for pools.swarm.test.mjs: told what to do by a message, answers with one.

import { createHash } from "node:crypto";
import { open } from "../dist/index.js";
import { random, until } from "./house.mjs";

/** Each item is added by about four of ten members, and by this process for certain. */
export const itemsOf = (seed, count, isAll) => {
  const dice = random(seed);
  const items = Array.from({ length: count }, (_, n) => ({ name: `item-${String(n).padStart(6, "0")}` }));
  const mine = items.filter((_, n) => dice(10) < 4 || isAll(n));
  for (let at = mine.length - 1; at > 0; at--) {
    const other = dice(at + 1);
    [mine[at], mine[other]] = [mine[other], mine[at]];
  }
  return mine;
};

// A socket that counts the items in the frames that it is given.
const counted = (counts, place) =>
  class extends WebSocket {
    constructor(...args) {
      super(...args);
      this.addEventListener("message", ({ data }) => {
        if (typeof data !== "string") counts[place] += Buffer.from(data).toString("latin1").split("item-").length - 1;
      });
    }
  };

process.once("message", async ({ id, urls, seed, count }) => {
  const told = urls.map(() => 0);
  const all = await Promise.all(
    urls.map((relay, place) => open({ relay, id, storage: "memory", WebSocket: counted(told, place) })),
  );
  const pools = all.map((ds) => ds.pool("crowd"));
  const outcomes = [];
  let added = 0;
  await Promise.all(
    pools.map(async (pool, place) => {
      const mine = itemsOf(seed + place, count, (n) => n % urls.length === place);
      added += mine.length;
      for (let at = 0; at < mine.length; at += 100) {
        const mutation = pool.add(mine.slice(at, at + 100));
        outcomes.push(mutation.settled);
        if (at % 500 === 0) await mutation.settled;
      }
    }),
  );
  const refused = (await Promise.all(outcomes)).filter(({ status }) => status !== "accepted");
  await until(() => pools.every((pool) => pool.size === count), "every item at every member", 240_000);
  const ends = await Promise.all(pools.map((pool) => pool.whenConverged()));
  const members = pools.map((pool, place) => ({
    ...ends[place],
    size: pool.items().length,
    hash: createHash("sha256").update(JSON.stringify(pool.items())).digest("hex"),
  }));
  process.send({ added, told, refused: refused.length, members }, () => process.disconnect());
  await Promise.all(all.map((ds) => ds.close()));
});
