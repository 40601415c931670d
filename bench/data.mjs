// The records of every bench: 100 bytes of JSON or about, the same for the same number.

const words = ["tide", "harbour", "kelp", "anchor", "lantern", "gull", "rope", "estuary", "sand", "mast"];

/** The id of the record at this place. */
export const idAt = (n) => `task-${String(n).padStart(9, "0")}`;

/** `count` records `{ id, title, done, pri, ts }`; a seed decides them (mulberry32). */
export function records(count, seed = 1) {
  const next = random(seed);
  return Array.from({ length: count }, (_, n) => ({
    id: idAt(n),
    title: [0, 0, 0, 0].map(() => words[next(words.length)]).join(" "),
    done: next(2) === 1,
    pri: next(10),
    ts: 1_760_000_000_000 + next(1_000_000_000),
  }));
}

function random(seed) {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Settings of a relay that is measured and not held back. */
export const unpaced = { NEAP_RATE_MUTATIONS: "1000000", NEAP_RATE_BYTES: "1000000000" };
