// The board as a person meets it: everything is found by role and name, nothing by markup.

import assert from "node:assert/strict";

/** One open window of a board. */
export class Board {
  constructor(page) {
    this.page = page;
    this.status = page.getByRole("status");
    this.tasks = page.getByRole("list", { name: "Tasks", exact: true });
    this.items = this.tasks.getByRole("listitem");
    this.newTask = page.getByRole("textbox", { name: "New task", exact: true });
    this.offlineSwitch = page.getByRole("switch", { name: "Work offline", exact: true });
    this.notices = page.getByRole("log");
  }

  static async open(context, url) {
    const board = new Board(await context.newPage());
    board.problems = [];
    board.page.on("pageerror", (error) => board.problems.push(error.stack));
    await board.page.goto(url);
    await board.newTask.waitFor();
    return board;
  }

  get url() {
    return this.page.url();
  }

  button(name) {
    return this.page.getByRole("button", { name, exact: true });
  }

  checkbox(title) {
    return this.tasks.getByRole("checkbox", { name: title, exact: true });
  }

  item(title) {
    return this.items.filter({ has: this.page.getByRole("checkbox", { name: title, exact: true }) });
  }

  async add(title) {
    await this.newTask.fill(title);
    await this.button("Add").click();
  }

  async rename(title, to) {
    await this.button(`Rename ${title}`).click();
    await this.page.getByRole("textbox", { name: `Title of ${title}` }).fill(to);
    await this.page.keyboard.press("Enter");
  }

  async remove(title) {
    await this.button(`Delete ${title}`).click();
  }

  /** What the board says of each task, in its order. */
  async content() {
    const items = await this.items.all();
    return Promise.all(
      items.map(async (item) => {
        const box = item.getByRole("checkbox");
        return { title: await box.getAttribute("aria-label"), done: await box.isChecked() };
      }),
    );
  }

  /** Resolves when the status says this connection and this number of pending mutations. */
  async says(connection, pending = 0) {
    const words = pending === 0 ? connection : `${connection} · ${pending} pending`;
    await this.page.getByRole("status").filter({ hasText: new RegExp(`^${words}$`) }).waitFor({ timeout: 15_000 });
  }

  async shows(title) {
    await this.checkbox(title).waitFor({ timeout: 15_000 });
  }

  async showsNo(title) {
    await this.checkbox(title).waitFor({ state: "detached", timeout: 15_000 });
  }

  async tells(words) {
    await this.notices.getByText(words).waitFor({ timeout: 15_000 });
  }

  /** The newest confirmed seq, as the foot of the page says it. */
  async seq() {
    const [, seq] = /^seq (\d+)/.exec(await this.page.getByText(/^seq \d+ · head/).textContent());
    return Number(seq);
  }

  async reaches(seq) {
    await this.page.getByText(new RegExp(`^seq ${seq} · head ${seq} · 0 pending`)).waitFor({ timeout: 15_000 });
  }

  /** Resolves when the app shell is installed, so that it starts with no network from now on. */
  async installed() {
    await this.page.evaluate(async () => {
      await navigator.serviceWorker.ready;
    });
  }

  noProblems() {
    assert.deepEqual(this.problems, []);
  }
}
