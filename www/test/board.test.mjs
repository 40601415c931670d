// The demo in a real Chromium, against a real relay.

import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch } from "../../tools/chromium.mjs";
import { startRelay } from "../../tools/relay.mjs";
import { Board } from "./board.mjs";

let browser, data, relay;

before(async () => {
  data = await mkdtemp(join(tmpdir(), "neap-board-"));
  [relay, browser] = await Promise.all([startRelay({ port: 0, data }), launch()]);
});

after(async () => {
  await browser?.close();
  await relay?.stop();
  await rm(data, { recursive: true, force: true });
});

/** A person with a browser of their own. */
async function person(t, options = {}) {
  const context = await browser.newContext(options);
  t.after(() => context.close());
  return context;
}

async function freshBoard(t, options) {
  const board = await Board.open(await person(t, options), relay.url);
  await board.says("live");
  return board;
}

async function joins(t, board, options) {
  const other = await Board.open(await person(t, options), board.url);
  await other.says("live");
  return other;
}

async function equal(...boards) {
  const seqs = [];
  for (const board of boards) {
    await board.says("live");
    seqs.push(await board.seq());
  }
  for (const board of boards) {
    await board.reaches(Math.max(...seqs));
    board.noProblems();
  }
  const [first, ...rest] = await Promise.all(boards.map((board) => board.content()));
  for (const content of rest) assert.deepEqual(content, first);
  return first;
}

test("names and roles are the contract's", async (t) => {
  const board = await freshBoard(t);
  assert.match(new URL(board.url).search, /^\?id=[0-9a-f]{32}$/);
  for (const only of [board.status, board.tasks, board.newTask, board.button("Add"), board.offlineSwitch]) {
    assert.equal(await only.count(), 1);
  }
  assert.equal(await board.status.textContent(), "live");
  assert.equal(await board.offlineSwitch.getAttribute("aria-checked"), "false");
  await board.add("Milk");
  await board.add("<b>Bread</b> & butter");
  assert.equal(await board.items.count(), 2);
  assert.equal(await board.checkbox("Milk").count(), 1);
  assert.equal(await board.button("Delete Milk").count(), 1);
  assert.equal(await board.button("Delete <b>Bread</b> & butter").count(), 1);
  assert.equal(await board.page.locator("b").count(), 0);
  await board.add("   ");
  assert.equal(await board.items.count(), 2);
  await board.says("live");
  board.noProblems();
});

test("an add is seen by someone else within a second, and so is every other edit", async (t) => {
  const ada = await freshBoard(t);
  const ben = await joins(t, ada);
  const added = ada.page.evaluate(() => new Promise((done) => document.addEventListener("submit", () => done(Date.now()), { once: true, capture: true })));
  const seen = ben.tasks.evaluate((list) => new Promise((done) => new MutationObserver(() => done(Date.now())).observe(list, { childList: true })));
  await ada.add("Milk");
  const took = (await seen) - (await added);
  assert.ok(took < 1000, `took ${took} ms`);
  t.diagnostic(`seen after ${took} ms`);
  await ben.shows("Milk");

  await ben.checkbox("Milk").check();
  await ada.tasks.getByRole("checkbox", { name: "Milk", checked: true }).waitFor();
  await ada.item("Milk").getByText("Milk").dblclick();
  await ada.page.keyboard.type("Oat milk");
  await ada.page.keyboard.press("Enter");
  await ben.shows("Oat milk");
  await ben.button("Rename Oat milk").focus();
  await ben.page.keyboard.press("Enter");
  await ben.page.keyboard.type("Rice milk");
  await ben.page.keyboard.press("Tab");
  await ben.page.keyboard.press("Enter");
  await ada.shows("Rice milk");
  await ada.remove("Rice milk");
  await ben.showsNo("Rice milk");
  assert.deepEqual(await equal(ada, ben), []);
  assert.equal(await ada.notices.textContent(), "");
});

test("two people edit offline, one of them reloads, and nothing is lost", async (t) => {
  const ada = await freshBoard(t);
  for (const title of ["Milk", "Bread", "Boat"]) await ada.add(title);
  await ada.says("live");
  const ben = await joins(t, ada);
  await ben.shows("Boat");
  await ada.installed();

  await ada.offlineSwitch.click();
  await ben.offlineSwitch.click();
  await ada.says("offline");
  await ben.says("offline");

  await ada.rename("Milk", "Oat milk");
  await ada.says("offline", 1);
  await ada.checkbox("Bread").check();
  await ada.says("offline", 2);
  await ada.add("Rope");
  await ada.says("offline", 3);
  await ben.rename("Milk", "Soy milk");
  await ben.says("offline", 1);
  await ben.rename("Boat", "Paint the boat");
  await ben.add("Oars");
  await ben.says("offline", 3);

  for (const title of ["Oat milk", "Bread", "Rope"]) assert.equal(await ada.item(title).getAttribute("data-pending"), "");
  assert.equal(await ada.item("Boat").getAttribute("data-pending"), null);

  await ada.page.reload();
  await ada.says("offline", 3);
  assert.equal(await ada.offlineSwitch.getAttribute("aria-checked"), "true");
  assert.deepEqual(await ada.content(), [
    { title: "Oat milk", done: false },
    { title: "Bread", done: true },
    { title: "Boat", done: false },
    { title: "Rope", done: false },
  ]);
  for (const title of ["Oat milk", "Bread", "Rope"]) assert.equal(await ada.item(title).getAttribute("data-pending"), "");

  await ben.offlineSwitch.click();
  await ben.says("live");
  await ada.offlineSwitch.click();
  await ada.says("live");
  await ben.shows("Oat milk");
  await ben.shows("Rope");
  await ada.shows("Oars");
  assert.deepEqual(await equal(ada, ben), [
    { title: "Oat milk", done: false },
    { title: "Bread", done: true },
    { title: "Paint the boat", done: false },
    { title: "Rope", done: false },
    { title: "Oars", done: false },
  ]);
  assert.equal(await ada.page.locator("[data-pending]").count(), 0);
  await ada.tells("While you were away, someone renamed “Milk” to “Soy milk”. Your “Oat milk” arrived later, so it stands.");
  await ben.tells("Someone renamed your “Soy milk” to “Oat milk”. Their change arrived after yours, so it stands.");

  await ada.button("Use “Soy milk”").click();
  await ben.shows("Soy milk");
  await ben.button("Dismiss").click();
  assert.equal(await ben.notices.textContent(), "");
  await equal(ada, ben);
});

test("what someone deleted meanwhile can be put back with the edit that met it", async (t) => {
  const ada = await freshBoard(t);
  await ada.add("Milk");
  await ada.add("Bread");
  const ben = await joins(t, ada);
  await ben.shows("Bread");
  await ada.offlineSwitch.click();
  await ada.rename("Milk", "Oat milk");
  await ada.remove("Bread");
  await ada.says("offline", 2);
  await ben.remove("Milk");
  await ben.rename("Bread", "Rye bread");
  await ben.says("live");

  await ada.offlineSwitch.click();
  await ada.tells("While you were away, someone deleted “Milk”, so your change to it had nothing left to change.");
  await ben.showsNo("Rye bread");
  assert.deepEqual(await equal(ada, ben), []);

  await ada.button("Put it back").click();
  await ada.tells("While you were away, someone renamed “Bread” to “Rye bread”. Your delete arrived later, so it is gone.");
  await ada.button("Put it back").click();
  await ben.shows("Oat milk");
  await ben.shows("Rye bread");
  assert.equal((await equal(ada, ben)).length, 2);
});

test("a board that is gone can be put back from the copy that is here, edits that waited included", async (t) => {
  const ada = await freshBoard(t);
  for (const title of ["Milk", "Bread"]) await ada.add(title);
  await ada.says("live");
  await ada.offlineSwitch.click();
  await ada.checkbox("Milk").check();
  await ada.add("Eggs");
  const address = `${relay.url}/v1/datastores/${new URL(ada.url).searchParams.get("id")}`;
  assert.equal((await fetch(address, { method: "DELETE" })).status, 204);
  await ada.offlineSwitch.click();
  await ada.notices.getByText("This board is gone from the relay").waitFor();
  const before = await ada.content();
  assert.equal((await fetch(address)).status, 404);
  await ada.page.getByText("The relay has this board no more").waitFor();
  // It waits for a network, and what is done meanwhile is no less ours.
  await ada.page.context().setOffline(true);
  await ada.button("Put it back").click();
  await ada.page.getByText("The board is put back as soon as the relay answers").waitFor();
  await ada.add("Flour");
  before.push({ title: "Flour", done: false });
  await ada.page.context().setOffline(false);
  await ada.says("live");
  assert.deepEqual(await ada.content(), before);
  assert.deepEqual(before.find(({ title }) => title === "Milk"), { title: "Milk", done: true });
  const ben = await joins(t, ada);
  assert.deepEqual(await equal(ada, ben), before);
});

test("an edit of what another tab has not sent yet waits for it, and floods nobody", async (t) => {
  const context = await person(t);
  const held = await Board.open(context, relay.url);
  await held.says("live");
  const other = await Board.open(context, held.url);
  await other.says("live");
  await held.offlineSwitch.click();
  for (const title of ["Tick", "Rename", "Delete"]) await held.add(title);
  await other.shows("Delete");
  await other.says("live", 3);
  let frames = 0;
  const session = await context.newCDPSession(other.page);
  await session.send("Network.enable");
  session.on("Network.webSocketFrameSent", () => (frames += 1));
  await other.checkbox("Tick").check();
  await other.rename("Rename", "Renamed");
  await other.remove("Delete");
  // Bounded by what a loop would send: it came to hundreds a second.
  await new Promise((done) => setTimeout(done, 1000));
  assert(frames < 30, `${frames} frames`);
  await held.offlineSwitch.click();
  await other.says("live");
  const wanted = [{ title: "Tick", done: true }, { title: "Renamed", done: false }];
  await other.shows("Renamed");
  await other.showsNo("Delete");
  await held.showsNo("Delete");
  assert.deepEqual(await equal(held, other), wanted);
});

test("what there is to say waits its turn, and an undo that would overwrite says so", async (t) => {
  const ada = await freshBoard(t);
  const ben = await joins(t, ada);
  const titles = ["a", "b", "c", "d"];
  for (const title of titles) await ada.add(title);
  for (const title of titles) await ben.shows(title);
  await ada.offlineSwitch.click();
  for (const title of titles) await ada.checkbox(title).check();
  for (const title of titles) await ben.remove(title);
  await ben.says("live");
  await ada.offlineSwitch.click();
  await ada.notices.getByText("3 more").waitFor();
  for (const title of titles) {
    await ada.notices.getByText(`deleted “${title}”`).waitFor();
    await ada.button("Dismiss").first().click();
  }
  assert.equal(await ada.notices.textContent(), "");
  await ada.add("mine");
  await ben.checkbox("mine").check();
  await ada.page.waitForFunction(() => document.querySelector("[data-done]"));
  await ada.button("Undo").click();
  await ada.notices.getByText("Nothing was taken back").waitFor();
});

test("the status says within seconds that the network has gone, and that it is back", async (t) => {
  const ada = await freshBoard(t);
  await ada.page.context().setOffline(true);
  await ada.page.getByRole("status").filter({ hasText: /^offline$/ }).waitFor({ timeout: 5000 });
  await ada.page.context().setOffline(false);
  await ada.says("live");
});

test("two people come back at the same moment, and both are told", async (t) => {
  const ada = await freshBoard(t);
  await ada.add("Milk");
  const ben = await joins(t, ada);
  await ben.shows("Milk");
  const both = [ada, ben];
  for (const person of both) await person.offlineSwitch.click();
  await ada.rename("Milk", "Oat milk");
  await ben.rename("Milk", "Soy milk");
  await Promise.all(both.map((person) => person.offlineSwitch.click()));
  await Promise.all(both.map((person) => person.tells(/so it stands\./)));
  const [task] = await equal(...both);
  assert.match(task.title, /^(Oat|Soy) milk$/);
});

test("edits of different fields of one task melt without a word", async (t) => {
  const ada = await freshBoard(t);
  await ada.add("Milk");
  const ben = await joins(t, ada);
  await ben.shows("Milk");
  await ada.offlineSwitch.click();
  await ada.rename("Milk", "Oat milk");
  await ben.checkbox("Milk").check();
  await ben.says("live");
  await ada.offlineSwitch.click();
  await ben.shows("Oat milk");
  assert.deepEqual(await equal(ada, ben), [{ title: "Oat milk", done: true }]);
  assert.equal(await ada.notices.textContent(), "");
});

test("a half-typed edit keeps its words and its focus, whatever others do", async (t) => {
  const ada = await freshBoard(t);
  for (const title of ["Milk", "Bread"]) await ada.add(title);
  const ben = await joins(t, ada);
  await ben.shows("Bread");
  await ada.button("Rename Bread").click();
  await ada.page.keyboard.type("Rye br");

  await ben.add("Oars");
  await ben.remove("Milk");
  await ben.rename("Bread", "Toast");
  await ada.page.getByText("Someone renamed it to “Toast” meanwhile.").waitFor();
  await ben.remove("Toast");
  await ada.page.getByText("Someone deleted this task meanwhile.").waitFor();
  await ada.page.keyboard.type("ead");
  await ada.page.keyboard.press("Enter");
  await ben.shows("Rye bread");
  assert.deepEqual(await equal(ada, ben), [
    { title: "Rye bread", done: false },
    { title: "Oars", done: false },
  ]);
});

test("what comes while the page is drawn for the first time is shown", async (t) => {
  const ada = await freshBoard(t);
  await ada.add("Milk");
  await ada.says("live");
  const context = await person(t);
  // The browser draws late, and Preact waits for that no more than 35 ms, here for long.
  await context.addInitScript(() => {
    const { setTimeout } = globalThis;
    globalThis.requestAnimationFrame = () => 0;
    globalThis.setTimeout = (fn, ms, ...given) => setTimeout(fn, ms === 35 ? 3000 : ms, ...given);
  });
  const ben = await Board.open(context, ada.url);
  await ben.says("live");
  await ben.shows("Milk");
});

test("it starts and is fully usable with no network", async (t) => {
  const home = await mkdtemp(join(tmpdir(), "neap-board-away-"));
  t.after(() => rm(home, { recursive: true, force: true }));
  let far = await startRelay({ port: 0, data: home });
  t.after(() => far.stop());
  const context = await person(t);
  const board = await Board.open(context, far.url);
  await board.says("live");
  await board.add("Milk");
  await board.says("live");
  await board.installed();

  await far.stop();
  await context.setOffline(true);
  await board.page.reload();
  await board.page.getByRole("status").filter({ hasText: /^(offline|connecting)$/ }).waitFor();
  await board.shows("Milk");
  await board.add("Bread");
  await board.checkbox("Milk").check();
  await board.page.getByRole("status").filter({ hasText: /^(offline|connecting) · 2 pending$/ }).waitFor();
  assert.equal(await board.item("Bread").getAttribute("data-pending"), "");

  const fresh = await Board.open(context, new URL("/", far.url).href);
  assert.notEqual(fresh.url, board.url);
  await fresh.add("Packed for the trip");
  await fresh.page.getByRole("status").filter({ hasText: /1 pending$/ }).waitFor();

  far = await startRelay({ port: Number(new URL(far.url).port), data: home });
  await context.setOffline(false);
  await board.says("live");
  await fresh.says("live");
  const ben = await joins(t, fresh);
  await ben.shows("Packed for the trip");
  const eve = await joins(t, board);
  await eve.shows("Bread");
  assert.deepEqual(await equal(board, eve), [
    { title: "Milk", done: true },
    { title: "Bread", done: false },
  ]);
});

test("the installed app begins with the board that was open last, a visit with a fresh one", async (t) => {
  const board = await freshBoard(t);
  await board.add("Milk");
  const app = await Board.open(board.page.context(), new URL("/?last", board.url).href);
  assert.equal(app.url, board.url);
  await app.shows("Milk");
  const visit = await Board.open(board.page.context(), new URL("/", board.url).href);
  assert.notEqual(visit.url, board.url);
  const stranger = await Board.open(await person(t), new URL("/?last", board.url).href);
  assert.match(stranger.url, /\/\?id=[0-9a-f]{32}$/);
});

test("the keys take back what was done, unless someone is writing", async (t) => {
  const board = await freshBoard(t);
  await board.add("Milk");
  const press = (keys) => board.page.keyboard.press(keys);
  await press("Control+z");
  await board.showsNo("Milk");
  await press("Control+Shift+z");
  await board.shows("Milk");
  await board.checkbox("Milk").check();
  await press("Meta+z");
  await board.says("live");
  assert.deepEqual(await board.content(), [{ title: "Milk", done: false }]);
  await board.newTask.pressSequentially("Bread");
  await press("Control+z");
  await board.says("live");
  assert.deepEqual(await board.content(), [{ title: "Milk", done: false }], "the words are taken back, not the task");
  board.noProblems();
});

test("320 px are enough, and fingers find their targets", async (t) => {
  const board = await freshBoard(t, { viewport: { width: 320, height: 640 }, hasTouch: true, isMobile: true });
  await board.add("Milk");
  await board.add(`A title of one long word: ${"o".repeat(80)}`);
  await board.offlineSwitch.click();
  await board.button("Rename Milk").click();
  await board.page.getByText("How it works").click();
  const { wide, small } = await board.page.evaluate(() => ({
    wide: document.documentElement.scrollWidth,
    small: [...document.querySelectorAll("button, summary, input:not([type=checkbox]), li > span")]
      .map((element) => [element.outerHTML.slice(0, 80), Math.min(element.offsetWidth, element.offsetHeight)])
      .filter(([, size]) => size < 44),
  }));
  assert.equal(wide, 320);
  assert.deepEqual(small, []);
});

test("it runs under the policy that it is deployed with", async (t) => {
  const home = await mkdtemp(join(tmpdir(), "neap-board-policy-"));
  t.after(() => rm(home, { recursive: true, force: true }));
  const assets = join(home, "assets");
  await cp(new URL("../dist/", import.meta.url), assets, { recursive: true });
  const headers = await readFile(join(assets, "_headers"), "utf8");
  const policy = /Content-Security-Policy: (.+)/.exec(headers)[1];
  const html = await readFile(join(assets, "index.html"), "utf8");
  await writeFile(join(assets, "index.html"), html.replace("<head>", `<head><meta http-equiv="Content-Security-Policy" content="${policy}" />`));
  const guarded = await startRelay({ port: 0, data: join(home, "data"), assets });
  t.after(() => guarded.stop());

  const context = await person(t);
  await context.addInitScript(() => {
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
  });
  const board = await Board.open(context, guarded.url);
  await board.says("live");
  await board.add("Milk");
  await board.says("live");
  await board.installed();
  assert.deepEqual(await board.page.evaluate(() => window.violations), []);
});
