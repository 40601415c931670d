// A line to a relay that loses, holds up and swallows what goes over it, by the dice.

import { connect, createServer } from "node:net";

/**
 * A line to `port` on this machine, or to what `port()` gives. `fate(nth)` says what becomes of its nth connection: `cutAfter` milliseconds, `cutAt` so many bytes,
 * `delay`, at most so many milliseconds for each piece, `silentAfter` milliseconds, after which it forwards nothing and looks alive.
 * `heal` ends what is ill, and lets everything through from there on.
 */
export async function faultyLine(t, port, fate = () => ({})) {
  const line = { cuts: 0, silent: 0, connections: 0 };
  const ends = new Set();
  let isHealed = false;
  const server = createServer((client) => {
    const ill = isHealed ? {} : fate(line.connections);
    line.connections += 1;
    const up = connect(typeof port === "function" ? port() : port, "127.0.0.1");
    const timers = new Set();
    let isSilent = false;
    const later = (ms, fn) => {
      const timer = setTimeout(() => (timers.delete(timer), fn()), ms);
      timers.add(timer);
    };
    const end = () => {
      for (const timer of timers) clearTimeout(timer);
      ends.delete(end);
      client.destroy();
      up.destroy();
    };
    end.isIll = Object.keys(ill).length > 0;
    ends.add(end);
    let left = ill.cutAt ?? Infinity;
    const silence = () => ((isSilent = true), (line.silent += 1));
    if (ill.silentAfter === 0) silence();
    else if (ill.silentAfter) later(ill.silentAfter, silence);
    if (ill.cutAfter !== undefined) later(ill.cutAfter, () => ((line.cuts += 1), end()));
    for (const [from, to] of [[client, up], [up, client]]) {
      const waiting = [];
      let free = 0;
      from.setNoDelay(true);
      from.on("error", () => {});
      from.on("close", end);
      from.on("data", (bytes) => {
        left -= bytes.length;
        if (left < 0) return (line.cuts += 1), end();
        // Timers of one moment may end in any order, so each lets through what has waited longest.
        waiting.push(bytes);
        const pass = () => (isSilent ? waiting.shift() : to.write(waiting.shift()));
        if (!ill.delay) return pass();
        free = Math.max(free, performance.now() + ill.delay());
        later(Math.max(1, free - performance.now()), pass);
      });
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const end of [...ends]) end();
    server.close();
  });
  const heal = () => {
    isHealed = true;
    for (const end of [...ends]) if (end.isIll) end();
  };
  return Object.assign(line, { url: `http://127.0.0.1:${server.address().port}`, heal });
}
