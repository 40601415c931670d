// The page of benchmarks, made when the site is built: markup without a script.

import { standing, targets, verdicts, type Verdict } from "../../../bench/targets.mjs";
import { bars } from "./bars.ts";
import { escape, figure, times, title } from "./text.ts";
import { mainMeasure, spreadOf, type Bench, type Results, type Row } from "./results.ts";

/** The results as markup. */
export function page(results: Results): string {
  const { benches } = results;
  return [
    `<h1>Neap beside its peers</h1>`,
    lead(results),
    `<nav aria-label="Benches"><ul>${benches.map((bench) => contents(bench, verdicts(bench, benches))).join("")}</ul></nav>`,
    ...benches.map((bench) => section(bench, verdicts(bench, benches))),
    machine(results),
  ].join("\n");
}

function lead({ benches }: Results): string {
  const places = benches.flatMap((bench) => standing(bench) ?? []);
  const judged = benches.flatMap((bench) => verdicts(bench, benches));
  const count = (kind: boolean) => judged.filter(({ met }) => met === kind).length;
  const open = Object.values(targets).flat().length - count(true) - count(false);
  const ahead = places.filter(({ ratio }) => ratio >= 1).length;
  const small = benches.some(({ records, rounds, name }) => name !== "bundle" && (records < 100_000 || rounds < 5));
  const preliminary = small ? `<p class="small-run">Preliminary: a small run for orientation. Sizes and rounds stand at each bench.</p>` : "";
  return `<p>Equal work in processes of their own, taking turns. Neap is ahead of every peer in ${ahead} of ${places.length} benches, and behind where the page says so.
    Of the targets that were set before anything was measured it meets ${count(true)} and misses ${count(false)}${open > 0 ? `; ${open} wait for a measurement` : ""}.
    Peers differ in what they do for it: what each persists, merges, checks and acknowledges stands below its bench.</p>${preliminary}`;
}

function contents(bench: Bench, judged: readonly Verdict[]): string {
  const found = standing(bench);
  const place = found === undefined ? [] : [mark(found.ratio >= 1, "ahead", "behind")];
  const missed = judged.filter(({ met }) => met === false).length;
  const decided = judged.filter(({ met }) => met !== undefined).length;
  const kept = decided === 0 ? [] : [mark(missed === 0, "on target", missed === 1 ? "misses a target" : `misses ${missed} targets`)];
  return `<li><a href="#${bench.name}">${title(bench.title)}</a><span class="marks">${[...place, ...kept].join(" · ")}</span></li>`;
}

const mark = (isGood: boolean, good: string, bad: string) => `<span class="${isGood ? "ahead" : "behind"}">${isGood ? good : bad}</span>`;

function section(bench: Bench, judged: readonly Verdict[]): string {
  const { label, unit, more } = mainMeasure(bench);
  return `<section id="${bench.name}" aria-labelledby="${bench.name}-title">
  <h2 id="${bench.name}-title">${title(bench.title)}</h2>
  <p class="unit">${escape(label)}, ${escape(unit)}; ${more ? "more is better" : "less is better"}</p>
  ${verdict(bench)}
  ${kept(judged)}
  ${bars(bench)}
  ${details(bench)}
</section>`;
}

function verdict(bench: Bench): string {
  const found = standing(bench);
  if (found === undefined) return "";
  const { best, ratio } = found;
  if (ratio >= 1) return `<p class="verdict ahead">Ahead of the best peer, ${escape(best)}, by ${times(ratio)}.</p>`;
  return `<p class="verdict behind">Behind ${escape(best)}, which is better by ${times(1 / ratio)}.</p>`;
}

/** The bench's targets, and whether they are met. */
function kept(judged: readonly Verdict[]): string {
  const item = ({ met, says, label, value, bound, unit, by }: Verdict) => {
    const word = met === undefined ? `<span class="word">Open</span>` : `<span class="word ${met ? "ahead" : "behind"}">${met ? "Met" : "Missed"}</span>`;
    const against = Number.isFinite(bound) ? ` against ${figure(bound)}` : "";
    return `<li>${word}<span>Target: ${escape(says)}. <small>${escape(label)} ${figure(value)}${against} ${escape(unit)}, ${escape(by)}</small></span></li>`;
  };
  return judged.length === 0 ? "" : `<ul class="targets" aria-label="Targets">${judged.map(item).join("")}</ul>`;
}

function details(bench: Bench): string {
  const { measures, rows, leftOut, records, rounds, date, load } = bench;
  const heads = measures.map(({ label, unit }) => `<th scope="col">${escape(label)}, ${escape(unit)}</th>`).join("");
  const cells = (row: Row) => measures.map(({ key }) => `<td>${range(row, key)}</td>`).join("");
  const body = rows.map((row) => `<tr><th scope="row">${escape(row.subject)}</th>${cells(row)}</tr>`).join("");
  const notes = rows.map((row) => `<dt>${escape(row.subject)}</dt><dd>${escape(row.says)}${fewer(bench, row)}.</dd>`).join("");
  const missing = leftOut.map(({ subject, why }) => `<dt>${escape(subject)}</dt><dd>Not here: ${escape(why)}.</dd>`).join("");
  const loads = load.map((one) => one.toFixed(1)).join(" and ");
  return `<details>
    <summary>All figures, and what each does</summary>
    <div class="scroll" tabindex="0" role="group" aria-label="Figures: ${escape(bench.title)}"><table><thead><tr><th scope="col">median (least to most)</th>${heads}</tr></thead><tbody>${body}</tbody></table></div>
    <dl>${notes}${missing}</dl>
    <p class="how">${records.toLocaleString("en")} records, ${rounds === 1 ? "one round" : `${rounds} rounds`}, ${escape(date)}; load of the machine before and after ${loads}.</p>
  </details>`;
}

function range(row: Row, key: string): string {
  const { median, min, max } = spreadOf(row, key);
  return min === max ? figure(median) : `${figure(median)} <small>(${figure(min)} to ${figure(max)})</small>`;
}

/** Who was asked for less than the others says so. */
function fewer({ measures, rows }: Bench, { operations }: Row): string {
  const counted = measures.some(({ unit }) => /per (operation|record)$/.test(unit));
  const most = Math.max(...rows.map((row) => row.operations));
  return counted && operations < most ? `; ${operations.toLocaleString("en")} operations instead of ${most.toLocaleString("en")}` : "";
}

function machine({ node, cpu, cores, versions }: Results): string {
  const list = Object.entries(versions).map(([name, version]) => `${escape(name)}&nbsp;${escape(version)}`);
  return `<footer>
  <h2>How it was measured</h2>
  <p>${escape(cpu)}, ${cores} cores; Node ${escape(node.replace(/^v/, ""))}; ${list.join(", ")}.</p>
  <p>A bar shows the median, its thin line the least and the most of all rounds; a bar with a gap goes on beyond the picture. Pale bars are limits: plain
    JavaScript, or a bare Durable Object, which do nothing but the work itself. CPU time counts all threads of the process.</p>
  <p>Run it yourself: <code>npm run bench</code>, or some of it by name, with <code>--json bench/results.json</code> to redraw this page.</p>
  <p><a href="/">The demo</a></p>
</footer>`;
}

