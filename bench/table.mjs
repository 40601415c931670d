// A result as text: a table for each bench with what it was to show, then what each subject does and does not do.

import { standing, targets, verdicts } from "./targets.mjs";

/** One bench of these: all are compared with its first row, which is the limit where there is one, and Neap elsewhere. */
export function table(bench, benches = [bench]) {
  const { title, records, measures, rows } = bench;
  const [main, ...others] = measures;
  const lines = ["", `${title} (${main.label}, ${main.unit}: median, least to most)`];
  const first = rows[0].figures[main.key].median;
  const most = Math.max(...rows.map(({ operations }) => operations));
  for (const { subject, operations, figures } of rows) {
    const { median, min, max } = figures[main.key];
    const range = `  ${short(min)} to ${short(max)}`.padEnd(20);
    const rest = others.map(({ key, label, unit }) => `${label} ${short(figures[key].median)} ${unit}`.replace(` ${main.unit}`, ""));
    const fewer = operations < most && records > operations && isCounted(main) ? [`of ${operations}`] : [];
    lines.push(`${subject.padEnd(20)}${short(median).padStart(9)}${range}${`${short(median / first)} ×`.padStart(9)}   ${[...rest, ...fewer].join(", ")}`.trimEnd());
  }
  return [...lines, ...judged(bench, benches)].join("\n");
}

// How Neap stands beside the best peer, and to each target.
function judged(bench, benches) {
  const { best, ratio } = standing(bench) ?? {};
  const place = ratio >= 1 ? `ahead of ${best}, the best peer, by ${short(ratio)} ×` : `BEHIND ${best}, which is better by ${short(1 / ratio)} ×`;
  return [...(best ? [`neap: ${place}`] : []), ...verdicts(bench, benches).map((one) => `target ${line(one)}`)];
}

const line = ({ met, says, label, value, bound, unit, by }) => `${mark(met)} ${says}: ${label} ${short(value)}, bound ${short(bound)} ${unit}, ${by}`;
const mark = (met) => (met === undefined ? "open  " : met ? "met   " : "MISSED");

/** How many targets were met, and each that was not. */
export function summary(benches) {
  const all = benches.flatMap((bench) => verdicts(bench, benches).map((one) => ({ ...one, name: bench.name })));
  const most = Object.values(targets).flat().length;
  const count = `${all.filter(({ met }) => met).length} of ${all.length} targets met${all.length < most ? ` (${most} in all)` : ""}`;
  return ["", count, ...all.filter(({ met }) => !met).map((one) => `${one.name.padEnd(15)} ${line(one)}`)].join("\n");
}

// Numbers of delivered or acknowledged are results themselves.
const isCounted = ({ unit }) => /per (operation|record)$/.test(unit);

/** What each subject does and does not do, and who is left out of what. */
export function footnotes(benches) {
  const says = new Map();
  for (const { name, rows } of benches)
    for (const one of rows) says.set(`${one.subject}: ${one.says}`, [...(says.get(`${one.subject}: ${one.says}`) ?? []), name]);
  const done = [...says].map(([line, names]) => line.replace(":", ` in ${names.join(", ")}:`));
  const left = benches.flatMap(({ name, leftOut }) => leftOut.map(({ subject, why }) => `${subject} is not in ${name}: ${why}`));
  return ["", ...done, "", ...new Set(left)].join("\n");
}

/** Three digits that count, and no more than two behind the point. */
export function short(value) {
  if (!Number.isFinite(value)) return "–";
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 0.1 || value === 0 ? 2 : 4;
  return value.toFixed(digits);
}
