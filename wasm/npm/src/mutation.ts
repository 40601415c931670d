// Mutations on their way, by their turns.

import type { Mutation, Outcome } from "./api.js";

const PENDING = 0;
const ACCEPTED = 1;
const REFUSED = 2;

/** What the app holds of a mutation. Promises are made only when asked for: a write must cost next to nothing. */
export class Handle implements Mutation {
  private fixedId: string | undefined = undefined;
  private verdict: typeof PENDING | typeof ACCEPTED | typeof REFUSED = PENDING;
  /** The seq that it took, once it is known. */
  seq: number | null = null;
  /** Whether the order may have had other records right before it than the app saw. */
  isOvertaken = false;
  private refusal: { code: string; message: string } | undefined = undefined;
  private landing: Promise<void> | undefined = undefined;
  private promise: Promise<Outcome> | undefined = undefined;
  private resolve: ((outcome: Outcome) => void) | undefined = undefined;

  constructor(
    private readonly turns: Turns,
    private readonly tag: string,
    public turn: number,
  ) {}

  get id(): string {
    return (this.fixedId ??= idOf(this.tag, this.turn));
  }

  get durable(): Promise<void> {
    return (this.landing ??= this.turns.whenDurable(this));
  }

  get settled(): Promise<Outcome> {
    if (this.promise) return this.promise;
    if (this.verdict !== PENDING) return (this.promise = Promise.resolve(this.outcome()));
    return (this.promise = new Promise((resolve) => (this.resolve = resolve)));
  }

  /** Whether it is known to have changed nothing. */
  get isVoid(): boolean {
    return this.verdict === REFUSED || (this.verdict === ACCEPTED && this.seq === null);
  }

  get isSettled(): boolean {
    return this.verdict !== PENDING;
  }

  accept(seq: number | null): void {
    this.verdict = ACCEPTED;
    this.seq = seq;
    this.resolve?.(this.outcome());
  }

  refuse(code: string, message: string): void {
    this.verdict = REFUSED;
    this.refusal = { code, message };
    this.resolve?.(this.outcome());
  }

  /** Goes on under another turn, and keeps the id that the app has seen. */
  renumber(turn: number): void {
    this.fixedId = this.id;
    this.turn = turn;
  }

  private outcome(): Outcome {
    return this.refusal
      ? Object.freeze({ status: "refused", ...this.refusal })
      : Object.freeze({ status: "accepted", seq: this.seq });
  }
}

const idOf = (tag: string, turn: number): string => `${tag}-${turn}`;

/** The turns of one replica: minted here in the very order in which the core mints them. */
export class Turns {
  /** Handles of this life that are pending, oldest first; those before `head` are settled already. */
  private handles: Handle[] = [];
  private head = 0;
  private durableTurn: number;
  private unsent = 0;
  private durableWaiters: { handle: Handle; resolve: () => void }[] = [];

  /** `minted` is the newest turn of an earlier life. */
  constructor(
    private tag: string,
    public minted: number,
  ) {
    this.durableTurn = minted;
  }

  mint(): Handle {
    const handle = new Handle(this, this.tag, ++this.minted);
    this.handles.push(handle);
    return handle;
  }

  /** A mutation that is refused here and never sent. */
  refusedHere(code: string, message: string): Handle {
    const handle = this.mintHere();
    handle.refuse(code, message);
    return handle;
  }

  /** One that changes nothing, and is never sent. */
  acceptedHere(): Handle {
    const handle = this.mintHere();
    handle.accept(null);
    return handle;
  }

  private mintHere(): Handle {
    return new Handle(this, `${this.tag}-here`, ++this.unsent);
  }

  /** The handle of a pending turn, which may be of an earlier life. */
  pending(turn: number): Handle {
    let at = this.head;
    while (at < this.handles.length && (this.handles[at] as Handle).turn < turn) at += 1;
    const found = this.handles[at];
    if (found?.turn === turn) return found;
    const handle = new Handle(this, this.tag, turn);
    this.handles.splice(at, 0, handle);
    return handle;
  }

  overtaken(turn: number): void {
    const handle = this.handles[this.head];
    if (handle?.turn === turn) handle.isOvertaken = true;
  }

  accepted(first: number, seqs: readonly (number | null)[]): void {
    seqs.forEach((seq, index) => this.take(first + index)?.accept(seq));
  }

  /** Tells the id under which the app knows the mutation. */
  refused(turn: number, code: string, message: string): string {
    const handle = this.take(turn);
    handle?.refuse(code, message);
    return handle?.id ?? idOf(this.tag, turn);
  }

  /** Turns settle in order, so the oldest handle is the one, or it is of an earlier life. */
  private take(turn: number): Handle | undefined {
    const handle = this.handles[this.head];
    if (!handle || handle.turn !== turn) return undefined;
    this.head += 1;
    if (this.head > 1024 && this.head * 2 > this.handles.length) {
      this.handles = this.handles.slice(this.head);
      this.head = 0;
    }
    return handle;
  }

  /** All pending turns are others now, and none is on the disk under its new number. */
  renumbered(tag: string, minted: number): void {
    const shift = this.minted - minted;
    const pending = this.handles.slice(this.head);
    // What another tab delivers is safe on the disk, and answered there.
    for (const handle of pending) handle.renumber(Math.max(0, handle.turn - shift));
    this.handles = pending.filter(({ turn }) => turn > 0);
    this.head = 0;
    this.tag = tag;
    this.minted = minted;
    this.durableTurn = 0;
    this.durable(0);
  }

  durable(turn: number): void {
    this.durableTurn = Math.max(this.durableTurn, turn);
    const reached = ({ handle }: { handle: Handle }) => handle.isSettled || handle.turn <= this.durableTurn;
    const waiters = this.durableWaiters;
    if (waiters.length === 0) return;
    this.durableWaiters = waiters.filter((waiter) => !reached(waiter));
    for (const waiter of waiters) if (reached(waiter)) waiter.resolve();
  }

  /** What has been settled needs the disk no longer. */
  whenDurable(handle: Handle): Promise<void> {
    if (handle.isSettled || handle.turn <= this.durableTurn) return Promise.resolve();
    return new Promise((resolve) => this.durableWaiters.push({ handle, resolve }));
  }
}
