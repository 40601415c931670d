/** A record of the collection `tasks`. */
export interface Task {
  id: string;
  title: string;
  done: boolean;
  /** When it was added, in milliseconds since 1970, by its author's clock. */
  at: number;
}

/** How long a title may be: a page of text, and far from what a record holds. */
export const LONGEST_TITLE = 4000;

/** Makes a task with a fresh id. */
export function newTask(title: string): Task {
  return { id: freshId(), title, done: false, at: Date.now() };
}

/** Gives the title to show; anyone with the link may write anything, also no title at all. */
export function titleOf(task: Task): string {
  const title = typeof task.title === "string" ? task.title.trim() : "";
  return title === "" ? "(no title)" : title;
}

/** Orders tasks by age, then by id, the same on every screen. */
export function byAge(a: Task, b: Task): number {
  return ageOf(a) - ageOf(b) || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

function ageOf(task: Task): number {
  return Number.isFinite(task.at) ? task.at : 0;
}

// Not crypto.randomUUID: that one is missing where a phone opens the board over plain http.
function freshId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
