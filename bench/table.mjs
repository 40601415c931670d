// A result as text: a table for each bench, then what each subject does and does not do.

/** One bench: all are compared with its first row, which is the limit where there is one, and Neap elsewhere. */
export function table({ title, records, measures, rows }) {
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
  return lines.join("\n");
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
