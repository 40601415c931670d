import { open, NeapError, type Change, type Collection, type Condition, type Datastore, type Op, type Refused, type Status } from "neap";
import { Edits, oursCameLater, theirsCameLater, type Edit, type Verdict, type Wish } from "./edits";
import { Notices } from "./notices";
import { keep, recall } from "./slots";
import { byAge, newTask, type Task } from "./task";

/** A board lives for thirty days after it was last edited or opened. */
const TTL = 30 * 24 * 3600;

const openBoard = (id: string | null): Promise<Datastore> => open({ ...(id !== null && { id }), ttl: TTL, sliding: true });

/** Whether the relay has the board, has it no more, or is to have it again. */
export type Fate = "here" | "gone" | "returning";

/** One task board: the datastore, what was done to it here, and what there is to say about it. */
export class Board {
  readonly notices: Notices;
  readonly #datastore: Datastore;
  readonly #tasks: Collection<Task>;
  readonly #edits: Edits;
  readonly #switch: string;
  readonly #listeners = new Set<() => void>();
  /** Edits of tasks that another tab has not sent yet: the relay knows nothing of those, so these wait for them. */
  readonly #early = new Set<string>();
  #workOffline: boolean;
  #fate: Fate = "here";

  /** Opens a board, a fresh one without an id. Needs no network. */
  static async open(id: string | null): Promise<Board> {
    return new Board(await openBoard(id));
  }

  private constructor(datastore: Datastore) {
    this.#datastore = datastore;
    this.#tasks = datastore.collection<Task>("tasks");
    this.#edits = new Edits(datastore.id);
    this.#switch = `neap-board-offline:${datastore.id}`;
    this.notices = new Notices(() => this.#changed());
    this.#workOffline = recall("sessionStorage", this.#switch) !== null;
    if (this.#workOffline) datastore.goOffline();
    this.#listen();
  }

  get id(): string {
    return this.#datastore.id;
  }

  /** The undo of this screen's own edits. */
  get history(): Pick<Datastore, "undo" | "redo" | "canUndo" | "canRedo"> {
    return this.#datastore;
  }

  get epoch(): string | null {
    return this.#datastore.epoch;
  }

  get status(): Status {
    return this.#datastore.status;
  }

  get fate(): Fate {
    return this.#fate;
  }

  get tasks(): Task[] {
    return [...this.#tasks.values()].sort(byAge);
  }

  get(key: string): Task | undefined {
    return this.#tasks.get(key);
  }

  isPending(key: string): boolean {
    return this.#tasks.meta(key).pending;
  }

  /** Edits without an answer: this tab's, or as many as there are tasks that wait where another tab has made them. */
  get pending(): number {
    const waiting = [...this.#tasks.keys()].filter((key) => this.isPending(key));
    return Math.max(this.status.pending, waiting.length);
  }

  /** The person's own switch: nothing is sent or received while it is on. */
  get workOffline(): boolean {
    return this.#workOffline;
  }

  set workOffline(on: boolean) {
    this.#workOffline = on;
    keep("sessionStorage", this.#switch, on ? "on" : null);
    if (on) this.#datastore.goOffline();
    else this.#datastore.goOnline();
    this.#changed();
  }

  /** Writes a task down; `null` where that was not possible. */
  add(title: string): Task | null {
    const task = newTask(title);
    return this.#mutate(() => this.#tasks.set(task)) ? task : null;
  }

  tick(task: Task, done: boolean): void {
    this.#edit(task.id, { done });
  }

  rename(task: Task, title: string): void {
    if (this.#tasks.has(task.id)) this.#edit(task.id, { title });
    else this.putBack({ ...task, title });
  }

  remove(task: Task): void {
    this.#edit(task.id, "gone");
  }

  putBack(task: Task): void {
    this.#mutate(() => this.#tasks.set(task));
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Edits a task on the condition that nobody else has since; see #giveWay for when somebody has. */
  #edit(key: string, wish: Wish): void {
    const { seq } = this.#tasks.meta(key);
    this.#edits.note(key, this.#tasks.get(key), wish, this.status.connection !== "live");
    this.#send(key, wish, seq === null ? { ifPresent: true } : { ifSeq: seq });
  }

  /** Whether a task is shown that the relay does not know of. */
  #isUnsent(key: string): boolean {
    return this.#tasks.has(key) && this.#tasks.meta(key).seq === null;
  }

  #send(key: string, wish: Wish, condition?: Condition): void {
    this.#mutate(() => (wish === "gone" ? this.#tasks.delete(key, condition) : this.#tasks.patch(key, wish, condition)));
  }

  /** Whether a change was possible. */
  #mutate(change: () => unknown): boolean {
    let isDone = true;
    try {
      change();
    } catch (cause) {
      if (!(cause instanceof NeapError)) throw cause;
      isDone = false;
      this.notices.say(`That was not possible: ${cause.message}.`);
    }
    this.#changed();
    return isDone;
  }

  #listen(): void {
    const datastore = this.#datastore;
    this.#tasks.subscribe(({ changes }) => {
      for (const change of changes) if (change.origin === "remote") this.#met(change);
      this.#changed();
    });
    datastore.on("status", () => this.#changed());
    datastore.on("refused", (refused) => this.#refused(refused));
    datastore.on("reset", () => {
      // Who has put it back need not be told.
      if (this.#fate === "here") this.notices.say("The relay began this board anew. What was pending here goes on to the new one.");
      this.#meets("here");
    });
    datastore.on("expired", () => {
      this.#meets("gone");
      this.notices.say("This board is gone from the relay: nobody edited or opened it for thirty days, or someone deleted it. What you see is your own copy.", {
        label: "Put it back",
        run: () => void this.#putAllBack(),
      });
    });
    datastore.on("error", (error) => this.notices.say(`Something is wrong: ${error.message}.`));
  }

  #meets(fate: Fate): void {
    this.#fate = fate;
    this.#changed();
  }

  /** Opens the board anew, in the place of the one that is gone, with what is shown here. This page's own copy follows. */
  async #putAllBack(): Promise<void> {
    if (this.#fate === "gone") this.#meets("returning");
    const anew = await openBoard(this.id);
    const copy = this.tasks;
    await anew.ready;
    const tasks = anew.collection<Task>("tasks");
    for (const task of copy) tasks.set(task, { ifAbsent: true });
    await anew.settled();
    await anew.close();
  }

  /** Someone else changed a task; when it meets an edit of ours, the later arrival wins and we say so. */
  #met({ key, before, after }: Change<Task>): void {
    const edit = this.#edits.get(key);
    if (edit === undefined || this.#isUnsent(key)) return;
    if (edit.settledAt === null) {
      if (edit.met === "nothing") this.#giveWay(key, edit, after);
      return;
    }
    const isOurs = edit.met !== "deletion" && edit.wish !== "gone" && before?.title === (edit.wish.title ?? before?.title);
    const verdict = theirsCameLater(edit, after);
    if (!isOurs || verdict.text === undefined) return;
    this.#edits.forget(key);
    this.#tell(verdict);
  }

  #refused({ ops, code, message }: Refused): void {
    const isMissed = code === "precondition-failed" || code === "not-found";
    if (ops.length === 0) this.notices.say(`Nothing was taken back: ${message}.`);
    for (const op of ops) {
      const missed = isMissed ? wishOf(op) : null;
      if (missed === null) {
        // Of what has a condition only an undo sets whole tasks.
        if (isMissed) this.notices.say("Nothing was taken back: someone else changed it at the same moment.");
        else this.notices.say(`The relay did not take an edit: ${message}.`);
        break;
      }
      const { key, wish } = missed;
      const edit = this.#edits.get(key) ?? this.#edits.note(key, undefined, wish, true);
      const isKnown = edit.met === "deletion" || (edit.met === "change" && code === "precondition-failed");
      if (this.#isUnsent(key)) this.#early.add(key);
      else if (!isKnown) this.#giveWay(key, edit, this.#tasks.get(key));
    }
    this.#changed();
  }

  /** Sends edits that came too early, once the relay knows of their tasks. */
  #catchUp(): void {
    for (const key of this.#early) {
      if (this.#isUnsent(key)) continue;
      this.#early.delete(key);
      const edit = this.#edits.get(key);
      if (edit && this.#tasks.has(key)) this.#giveWay(key, edit, this.#tasks.get(key));
    }
  }

  /** An edit of ours arrives after someone else's change. */
  #giveWay(key: string, edit: Edit, theirs: Task | undefined): void {
    const verdict = oursCameLater(edit, theirs);
    this.#edits.meet(edit, theirs === undefined ? "deletion" : "change");
    if (verdict.insist) this.#send(key, edit.wish);
    this.#tell(verdict);
  }

  #tell({ text, offer }: Verdict): void {
    if (text === undefined) return;
    const take = (task: Task): void => (this.#tasks.has(task.id) ? this.rename(task, task.title) : this.putBack(task));
    this.notices.say(text, offer && { label: offer.label, run: () => take(offer.put) });
  }

  #changed(): void {
    this.#catchUp();
    this.#edits.sweep((key) => this.isPending(key), Date.now());
    for (const listener of this.#listeners) listener();
  }
}

function wishOf({ op, collection, key, data }: Op): { key: string; wish: Wish } | null {
  if (collection !== "tasks" || op === "set") return null;
  return { key, wish: op === "delete" ? "gone" : (data as Partial<Task>) };
}
