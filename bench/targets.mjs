// What each bench is to show, and whether it does. The table and the page of www both ask here.

const peers = Symbol("peers");
/** Better than every peer. */
const ahead = (key, besides = []) => ({ key, says: "better than every peer", than: peers, besides });
/** `bound` gives the number that must be kept to, from `of(subject, figure, bench)`, a median. */
const within = (key, says, bound) => ({ key, says, bound });

/** For each bench what Neap's figures are held against; a figure of which more is better must reach its bound. */
export const targets = {
  write: [ahead("cpu"), within("cpu", "at most 3 µs", () => 3)],
  bulk: [ahead("cpu"), within("cpu", "at most twice JSON.parse and a Map", (of) => 2 * of("map", "cpu"))],
  get: [within("cpu", "at most 1.5 × a plain Map", (of) => 1.5 * of("map", "cpu"))],
  iterate: [within("cpu", "at most 1.5 × a plain Map", (of) => 1.5 * of("map", "cpu"))],
  remote: [ahead("cpu")],
  "remote-pending": [ahead("cpu")],
  "catch-up": [ahead("wall"), within("bytes", "at most 1.1 × the JSON", () => 1.1)],
  "catch-up-10": [within("bytes", "at most 1.2 × the changed records", () => 1.2)],
  "catch-up-1000": [within("bytes", "at most 1.2 × the changed records", () => 1.2)],
  "catch-up-10000": [within("bytes", "at most 1.2 × the changed records", () => 1.2)],
  memory: [within("unread", "at most 200 bytes", () => 200), ahead("read", ["tinybase"])],
  reactive: [within("p50", "under 1 ms", () => 1)],
  hydrate: [ahead("first"), within("first", "at most 150 ms", () => 150)],
  bundle: [within("gzip", "at most 40 kB", () => 40)],
  "relay-500": [
    within("cpu", "at most 1.3 × the raw object", (of) => 1.3 * of("raw", "cpu")),
    within("p99", "at most 10 ms above the raw object", (of) => of("raw", "p99") + 10),
  ],
  "relay-5000": [within("cpu", "at most 0.2 × what it costs at 500 a second", (of) => 0.2 * of("neap", "cpu", "relay-500"))],
  durable: [within("rate", "at least 5 × the raw object, which commits each alone", (of) => 5 * of("raw", "rate"))],
  wake: [within("full", "at most 1.5 × an empty object, or 10 ms above it", (of) => Math.max(1.5 * of("neap", "empty"), of("neap", "empty") + 10))],
};

/** Whether a row is what no product can be better than, and no peer. */
export const isLimit = ({ says }) => /^(limit|ceiling)/.test(says);

/** The best peer of Neap in a figure, and how many times as good Neap is: above 1 when it is the better one. */
export function standing({ measures, rows }, key = measures[0].key, besides = []) {
  const { more } = measures.find((measure) => measure.key === key);
  const median = ({ figures }) => figures[key].median;
  const better = (a, b) => (more ? median(b) - median(a) : median(a) - median(b));
  const neap = rows.find(({ subject }) => subject === "neap");
  const [best] = rows.filter((row) => row !== neap && !isLimit(row) && !besides.includes(row.subject)).sort(better);
  if (!neap || !best) return undefined;
  return { best: best.subject, value: median(best), ratio: more ? median(neap) / median(best) : median(best) / median(neap) };
}

/** What came of a bench's targets; those that stand on a bench that is not among these are undecided. */
export function verdicts(bench, benches) {
  return (targets[bench.name] ?? []).map(({ key, says, than, besides, bound }) => {
    const { label, unit, more } = bench.measures.find((measure) => measure.key === key);
    const value = median(bench, "neap", key);
    const best = than && standing(bench, key, besides);
    const other = (name) => benches.find((one) => one.name === name);
    const limit = than ? best?.value : bound((subject, figure, name = bench.name) => median(other(name), subject, figure));
    const isKnown = Number.isFinite(value) && Number.isFinite(limit);
    const kept = more ? value / limit : limit / value;
    return { key, label, unit, says: best ? `${says}; the best is ${best.best}` : says, value, bound: limit, met: isKnown ? kept > 1 || (!than && kept === 1) : undefined, by: by(value / limit) };
  });
}

const median = (bench, subject, key) => bench?.rows.find((row) => row.subject === subject)?.figures[key]?.median ?? NaN;

/** How far a value lies from its bound. */
function by(ratio) {
  if (!Number.isFinite(ratio)) return "not known yet";
  if (ratio >= 2) return `${ratio.toFixed(1)} × as much`;
  const percent = Math.round(Math.abs(ratio - 1) * 100);
  return percent === 0 ? "just there" : `${percent} % ${ratio > 1 ? "above" : "below"}`;
}
