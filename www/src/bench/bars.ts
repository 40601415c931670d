// Bars: a list that reads as text, with a picture in each line that says nothing new.

import { isLimit } from "../../../bench/targets.mjs";
import { escape, figure } from "./text.ts";
import { mainMeasure, medianOf, spreadOf, type Bench, type Measure, type Row } from "./results.ts";

const WIDTH = 1000;
/** Whoever needs more than so many times what Neap needs is drawn with a gap. */
const FAR = 12;

/** The bench's rows as bars. */
export function bars(bench: Bench): string {
  const measure = mainMeasure(bench);
  const end = scaleEnd(bench.rows, measure);
  return `<ol class="bars">${bench.rows.map((row) => bar(row, bench, end)).join("")}</ol>`;
}

/** The value at the right end: the largest that is not too far off. */
function scaleEnd(rows: readonly Row[], measure: Measure): number {
  const values = rows.map((row) => medianOf(row, measure));
  const neap = rows.find(({ subject }) => subject === "neap");
  const bound = neap === undefined || measure.more ? Infinity : FAR * medianOf(neap, measure);
  const near = values.filter((value) => value <= bound);
  return Math.max(...near) * 1.04;
}

function bar(row: Row, { measures }: Bench, end: number): string {
  const [main, ...others] = measures;
  if (main === undefined) return "";
  const kind = row.subject === "neap" ? "neap" : isLimit(row) ? "limit" : "peer";
  const rest = others.map(({ key, label, unit }) => `${label} ${figure(spreadOf(row, key).median)} ${unit === main.unit ? "" : unit}`.trim());
  return `<li class="${kind}"><span class="who">${escape(row.subject)}</span><span class="value">${figure(medianOf(row, main))}</span>${picture(row, main, end)}<span class="rest">${escape(rest.join(" · "))}</span></li>`;
}

function picture(row: Row, { key }: Measure, end: number): string {
  const { median, min, max } = spreadOf(row, key);
  const x = (value: number) => Math.min(WIDTH, (value / end) * WIDTH).toFixed(1);
  const far = median > end;
  const line = far ? "" : `<line x1="${x(min)}" x2="${x(max)}" y1="10" y2="10" class="spread"/>`;
  const gap = far ? `<path d="M930 0h14l-10 20h-14z" class="gap"/>` : "";
  return `<svg viewBox="0 0 ${WIDTH} 20" preserveAspectRatio="none" aria-hidden="true" focusable="false"><rect width="${x(median)}" height="20" class="bar"/>${gap}${line}</svg>`;
}
