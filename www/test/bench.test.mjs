// The page of benchmarks in a real Chromium: it reads well everywhere, and whoever opens the board does not pay for it.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch } from "../../tools/chromium.mjs";
import { startRelay } from "../../tools/relay.mjs";
import { targets, verdicts } from "../../bench/targets.mjs";
import { Board } from "./board.mjs";

const results = JSON.parse(await readFile(new URL("../../bench/results.json", import.meta.url), "utf8"));
let browser, data, relay;

before(async () => {
  data = await mkdtemp(join(tmpdir(), "neap-bench-page-"));
  [relay, browser] = await Promise.all([startRelay({ port: 0, data }), launch()]);
});

after(async () => {
  await browser?.close();
  await relay?.stop();
  await rm(data, { recursive: true, force: true });
});

async function opened(t, options) {
  const context = await browser.newContext(options);
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(`${relay.url}/bench`);
  return page;
}

test("each bench has its bars, its figures and what each does, without a script", async (t) => {
  const page = await opened(t, { javaScriptEnabled: false });
  for (const { title, rows, leftOut } of results.benches) {
    const section = page.getByRole("region", { name: title });
    const bars = await section.locator(".bars").getByRole("listitem").allInnerTexts();
    assert.deepEqual(bars.map((text) => text.split("\n")[0].trim()), rows.map(({ subject }) => subject));
    assert.equal(await section.locator("tbody tr").count(), rows.length);
    assert.equal(await section.locator("dt").count(), rows.length + leftOut.length);
  }
  const text = await page.getByRole("main").innerText();
  for (const version of Object.values(results.versions)) assert.ok(text.includes(version), version);
  assert.ok(text.includes(results.cpu));
});

test("it says where Neap is ahead and where it is behind", async (t) => {
  const page = await opened(t, { javaScriptEnabled: false });
  for (const { name, title, rows, measures } of results.benches) {
    const [{ key, more }] = measures;
    const median = ({ figures }) => figures[key].median;
    const peers = rows.filter(({ subject, says }) => subject !== "neap" && !/^(limit|ceiling)/.test(says)).map(median);
    if (peers.length === 0) continue;
    const own = median(rows.find(({ subject }) => subject === "neap"));
    const isAhead = more ? own >= Math.max(...peers) : own <= Math.min(...peers);
    const verdict = await page.getByRole("region", { name: title }).locator(".verdict").innerText();
    assert.match(verdict, isAhead ? /^Ahead/ : /^Behind/, name);
  }
});

test("each target stands beside what came of it", async (t) => {
  const page = await opened(t, { javaScriptEnabled: false });
  let met = 0;
  for (const bench of results.benches) {
    const said = await page.getByRole("region", { name: bench.title }).getByRole("list", { name: "Targets" }).getByRole("listitem").allInnerTexts();
    assert.equal(said.length, targets[bench.name].length, bench.name);
    for (const [at, verdict] of verdicts(bench, results.benches).entries()) {
      const word = verdict.met === undefined ? "Open" : verdict.met ? "Met" : "Missed";
      assert.ok(said[at].startsWith(word) && said[at].includes(verdict.says), `${bench.name}: ${said[at]}`);
      met += verdict.met ? 1 : 0;
    }
  }
  assert.match(await page.getByRole("main").innerText(), new RegExp(`meets ${met} and misses`));
});

test("320 px are enough, by day and by night", async (t) => {
  for (const colorScheme of ["light", "dark"]) {
    const page = await opened(t, { colorScheme, viewport: { width: 320, height: 640 } });
    for (const summary of await page.locator("summary").all()) await summary.click();
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 320);
  }
});

test("whoever opens the board loads nothing of it, neither now nor for later", async (t) => {
  const context = await browser.newContext();
  t.after(() => context.close());
  const asked = [];
  context.on("request", (request) => asked.push(request.url()));
  const board = await Board.open(context, relay.url);
  await board.installed();
  assert.deepEqual(asked.filter((url) => url.includes("bench")), []);
  const kept = await board.page.evaluate(async () => {
    const names = await caches.keys();
    const requests = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
    return requests.flat().map(({ url }) => url);
  });
  assert.ok(kept.length > 2);
  assert.deepEqual(kept.filter((url) => url.includes("bench")), []);
  // The shell that answers for the board while there is no network leaves this page alone.
  await board.page.goto(`${relay.url}/bench`);
  await board.page.getByRole("heading", { name: "Neap beside its peers" }).waitFor();
});
