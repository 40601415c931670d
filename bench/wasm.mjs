// Counts calls into WebAssembly. To be called before anything is instantiated.

/** What only moves memory about. */
const movers = ["input", "output"];

/** Counts the calls of every instance's functions from now on, but for those that only move memory about. */
export function countCalls() {
  let calls = 0;
  const seen = new Map();
  const own = Object.getOwnPropertyDescriptor(WebAssembly.Instance.prototype, "exports").get;
  const counted = ([name, value]) => {
    if (typeof value !== "function" || movers.includes(name)) return [name, value];
    return [name, (...args) => ((calls += 1), value(...args))];
  };
  Object.defineProperty(WebAssembly.Instance.prototype, "exports", {
    get() {
      if (!seen.has(this)) seen.set(this, Object.fromEntries(Object.entries(own.call(this)).map(counted)));
      return seen.get(this);
    },
  });
  return { calls: () => calls };
}
