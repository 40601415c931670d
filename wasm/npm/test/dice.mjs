// Dice that a seed decides, for tests and for the pages that they load.

/** A stream of numbers that a seed decides: 32 bits each (mulberry32). */
export function random(seed) {
  let state = seed >>> 0;
  return (below = 2 ** 32) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}
