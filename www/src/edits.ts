import { keep, recall } from "./slots";
import { titleOf, type Task } from "./task";

/** What an edit wants of a task: these fields, or that it is gone. */
export type Wish = Partial<Task> | "gone";

/**
 * What was done to one task on this screen and may still meet someone else's change.
 * It is kept while a mutation on the task is pending, and a while longer when it was made away from
 * the network, since others come back too.
 */
export interface Edit {
  before: Task | undefined;
  wish: Wish;
  /** Made while the board was not live. */
  away: boolean;
  /** What of someone else it has met, and the person has been told of if need be. After a change it was sent again. */
  met: "nothing" | "change" | "deletion";
  settledAt: number | null;
}

/** How long someone else's change is still told as a meeting with an edit of ours, in milliseconds. */
const REMEMBERED = 120_000;

/** The edits of this screen by task key; they survive a reload of the tab, as the outbox does. */
export class Edits {
  readonly #byKey: Map<string, Edit>;
  readonly #slot: string;

  constructor(boardId: string) {
    this.#slot = `neap-board-edits:${boardId}`;
    this.#byKey = restore(this.#slot);
  }

  get(key: string): Edit | undefined {
    return this.#byKey.get(key);
  }

  /** Notes an edit; further edits of a task melt into the first until it is settled. */
  note(key: string, before: Task | undefined, wish: Wish, away: boolean): Edit {
    const earlier = this.#byKey.get(key);
    const open = earlier?.settledAt === null ? earlier : undefined;
    const melted = open && wish !== "gone" && open.wish !== "gone" ? { ...open.wish, ...wish } : wish;
    const edit: Edit = {
      before: open ? open.before : before,
      wish: melted,
      away: away || (open?.away ?? false),
      met: "nothing",
      settledAt: null,
    };
    this.#byKey.set(key, edit);
    this.#keep();
    return edit;
  }

  meet(edit: Edit, what: "change" | "deletion"): void {
    edit.met = what;
    this.#keep();
  }

  forget(key: string): void {
    if (this.#byKey.delete(key)) this.#keep();
  }

  /** Marks what is no longer pending as settled, and drops what need not be remembered. */
  sweep(isPending: (key: string) => boolean, now: number): void {
    for (const [key, edit] of this.#byKey) {
      if (isPending(key)) continue;
      edit.settledAt ??= now;
      if (!edit.away || now - edit.settledAt > REMEMBERED) this.#byKey.delete(key);
    }
    this.#keep();
  }

  #keep(): void {
    keep("sessionStorage", this.#slot, JSON.stringify([...this.#byKey]));
  }
}

function restore(slot: string): Map<string, Edit> {
  try {
    return new Map(JSON.parse(recall("sessionStorage", slot) ?? "[]") as [string, Edit][]);
  } catch {
    return new Map();
  }
}

/** What is to be done when an edit of ours met a change of someone else. */
export interface Verdict {
  /** Send the wish again, without a condition: the last arrival wins. */
  insist: boolean;
  text?: string;
  /** A task to put back or a title to take, when the person prefers that. */
  offer?: { label: string; put: Task };
}

/** Judges an edit that arrives after someone else's change of the same task. */
export function oursCameLater(edit: Edit, theirs: Task | undefined): Verdict {
  const { before, wish } = edit;
  const when = edit.away ? "While you were away, someone" : "At the same moment, someone";
  if (theirs === undefined) {
    if (wish === "gone" || before === undefined) return { insist: false };
    const mine = { ...before, ...wish };
    const text = `${when} deleted ${quote(before)}, so your change to it had nothing left to change.`;
    return { insist: false, text, offer: { label: "Put it back", put: mine } };
  }
  if (wish === "gone") {
    const what = whatTheyDid(before, theirs);
    if (what === null) return { insist: true };
    const text = `${when} ${what}. Your delete arrived later, so it is gone.`;
    return { insist: true, text, offer: { label: "Put it back", put: theirs } };
  }
  const clash = wish.title !== undefined && wish.title !== theirs.title && before?.title !== theirs.title;
  if (!clash) return { insist: true };
  const text = `${when} ${whatTheyDid(before, theirs)}. Your ${quote(wish)} arrived later, so it stands.`;
  return { insist: true, text, offer: { label: `Use ${quote(theirs)}`, put: theirs } };
}

/** Tells of a change of someone else that arrived after an edit that was made here while away. */
export function theirsCameLater(edit: Edit, theirs: Task | undefined): Verdict {
  const { before, wish } = edit;
  if (wish === "gone") return { insist: false };
  const mine = { ...before, ...wish } as Task;
  if (theirs === undefined) {
    const text = `Someone deleted ${quote(mine)}, which you changed while you were away. Their delete arrived after your change.`;
    return { insist: false, text, offer: { label: "Put it back", put: mine } };
  }
  if (wish.title === undefined || wish.title === theirs.title) return { insist: false };
  const text = `Someone renamed your ${quote(wish)} to ${quote(theirs)}. Their change arrived after yours, so it stands.`;
  return { insist: false, text, offer: { label: `Use ${quote(wish)}`, put: mine } };
}

function whatTheyDid(before: Task | undefined, theirs: Task): string | null {
  if (before === undefined) return `changed a task to ${quote(theirs)}`;
  if (before.title !== theirs.title) return `renamed ${quote(before)} to ${quote(theirs)}`;
  if (before.done !== theirs.done) return `${theirs.done ? "ticked" : "unticked"} ${quote(theirs)}`;
  return null;
}

function quote(task: Partial<Task>): string {
  const title = titleOf(task as Task);
  return `“${title.length > 60 ? `${title.slice(0, 59)}…` : title}”`;
}
