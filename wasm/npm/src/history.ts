// Undo and redo of this replica's own mutations. To undo one is to make another that brings the records
// back; it is refused where somebody else has written one of them since.

import type { Condition, Mutation } from "./api.js";
import { NeapError } from "./errors.js";
import { HISTORY_MAX } from "./limits.js";
import type { Handle } from "./mutation.js";
import { same, type Plain } from "./record.js";

/** A record before and after a mutation that spoke of it; `undefined`: there was none. */
export interface Trace {
  readonly collection: string;
  readonly key: string;
  readonly before: Plain | undefined;
  readonly after: Plain | undefined;
}

/** What a mutation has made of records. A load may have made much, and few are ever undone. */
export type Traces = () => readonly Trace[];

/** A write of the mutation that brings records back, on the condition that nobody else has written there. */
export interface Restoring {
  readonly collection: string;
  readonly key: string;
  readonly record: Plain | undefined;
  readonly condition: Condition;
}

/** What history asks of the store. */
export interface Ground {
  read(collection: string, key: string): Plain | undefined;
  /** Makes one mutation of all these writes, which undoes another one. Throws where it is known that it cannot. */
  restore(writes: readonly Restoring[], undone: Handle): Handle;
  /** A mutation that is refused here, and never sent. */
  refuse(code: string, message: string): Handle;
}

const PRECONDITION_FAILED = "precondition-failed";

/** What others wrote would be lost. */
export const overwrites = (): NeapError =>
  new NeapError(PRECONDITION_FAILED, "somebody else may have written what this would overwrite");

interface Step {
  readonly handle: Handle;
  readonly traces: Traces;
}

export class History {
  private readonly done: Step[] = [];
  private readonly undone: Step[] = [];
  /** Own mutations in the order in which they were made, also those that brought records back. */
  private readonly all: Step[] = [];

  constructor(private readonly ground: Ground) {}

  /**
   * Takes a mutation that the app has made. Where all records are as they were there is nothing to undo; still it may have
   * written them last.
   */
  made(handle: Handle, traces: Traces, isChange = true): void {
    const step = { handle, traces };
    push(this.all, step);
    if (!isChange) return;
    this.undone.length = 0;
    push(this.done, step);
  }

  get canUndo(): boolean {
    return newest(this.done) !== undefined;
  }

  get canRedo(): boolean {
    return newest(this.undone) !== undefined;
  }

  /** The id lives in another epoch: seqs of the old one say nothing any more of who has written last. */
  startAnew(): void {
    for (const steps of [this.done, this.undone, this.all])
      steps.splice(0, steps.length, ...steps.filter(({ handle }) => !handle.isSettled));
  }

  undo(): Mutation | null {
    return this.takeBack(this.done, this.undone);
  }

  redo(): Mutation | null {
    return this.takeBack(this.undone, this.done);
  }

  private takeBack(from: Step[], to: Step[]): Mutation | null {
    const step = newest(from);
    if (!step) return null;
    from.pop();
    const { ground } = this;
    const isAsLeft = ({ collection, key, after }: Trace) => same(ground.read(collection, key), after);
    const traces = step.traces().filter(({ before, after }) => before !== after);
    try {
      if (step.handle.isOvertaken || !traces.every(isAsLeft)) throw overwrites();
      const handle = ground.restore(this.writesBack(traces, step.handle), step.handle);
      const back = traces.map(({ collection, key, before, after }) => ({ collection, key, before: after, after: before }));
      for (const steps of [to, this.all]) push(steps, { handle, traces: () => back });
      return handle;
    } catch (error) {
      const { code, message } = error as NeapError;
      // Many small deletes are one mutation, and what they have deleted is none.
      if (code !== PRECONDITION_FAILED && code !== "too-large") throw error;
      return ground.refuse(code, message);
    }
  }

  /**
   * A record was last written by the newest own mutation of it, or by somebody else. A pending write is meant by
   * any seq: the core makes a condition on it into one on that write.
   */
  private writesBack(traces: readonly Trace[], own: Handle): Restoring[] {
    const writers = new Map<string, Map<string, Handle>>();
    for (const { collection, key } of traces) {
      const ofCollection = writers.get(collection) ?? new Map<string, Handle>();
      writers.set(collection, ofCollection.set(key, own));
    }
    for (const { handle, traces } of this.all) {
      if (handle.isVoid) continue;
      for (const { collection, key } of traces()) {
        const ofCollection = writers.get(collection);
        if (ofCollection?.has(key)) ofCollection.set(key, handle);
      }
    }
    return traces.map(({ collection, key, before, after }) => {
      const seq = writers.get(collection)?.get(key)?.seq ?? 0;
      // What is not there has no seq.
      const condition: Condition = after === undefined ? { ifAbsent: true } : { ifSeq: seq };
      return { collection, key, record: before, condition };
    });
  }
}

/** Lets go of what had no effect and of the oldest when there is twice as much as needed: a write must cost next to nothing. */
function push(steps: Step[], step: Step): void {
  steps.push(step);
  if (steps.length >= 2 * HISTORY_MAX) steps.splice(0, steps.length, ...steps.filter(({ handle }) => !handle.isVoid).slice(-HISTORY_MAX));
}

/** The newest step that had an effect; those without one are let go. */
function newest(steps: Step[]): Step | undefined {
  for (let step = steps.at(-1); step; step = steps.at(-1)) {
    if (!step.handle.isVoid) return step;
    steps.pop();
  }
  return undefined;
}
