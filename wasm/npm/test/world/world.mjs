// A world in one process, of which a seed decides all: what happens next, and what time it is. Whatever waits stands in a
// lane behind what came there before it; which lane goes on is left to the dice, as no browser promises more.

import { random } from "../dice.mjs";

/** Work may be late by so many milliseconds, behind timers that were due after it. */
const LATE_MS = 50;

export class World {
  now = 1_700_000_000_000;
  /** What went wrong in code that nobody awaits. */
  errors = [];
  steps = 0;
  #busy = new Set();
  #timers = new Set();
  #afterwards = [];

  constructor(seed, trace = undefined) {
    this.dice = random(seed);
    this.trace = trace ?? (() => {});
  }

  once(of) {
    return this.dice(of) === 0;
  }

  pick(all) {
    return all[this.dice(all.length)];
  }

  /** A lane of `owner`, who may be frozen, and runs no more once it is dead. */
  lane(owner) {
    const lane = { owner, waiting: [] };
    lane.post = (work) => {
      if (owner.isDead) return;
      lane.waiting.push(work);
      this.#busy.add(lane);
    };
    return lane;
  }

  /** Calls `work` at its time, if `owner` is awake then, or when it wakes up. */
  after(owner, ms, work) {
    const timer = { owner, at: this.now + Math.max(Math.trunc(ms), 0), work };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Calls `what` after each step, when all that was promised in it is done. */
  afterwards(what) {
    this.#afterwards.push(what);
  }

  /** Something that waits, or the next timer. */
  async step() {
    this.steps += 1;
    this.#bury();
    const lanes = [...this.#busy].filter(({ owner }) => !owner.isFrozen);
    const timer = this.#nextTimer();
    const isTime = lanes.length === 0 || (timer && timer.at < this.now + LATE_MS && this.once(30));
    if (isTime && !timer) return false;
    try {
      if (isTime) {
        this.now = Math.max(this.now, timer.at);
        this.#timers.delete(timer);
        await timer.work();
      } else await this.#next(this.pick(lanes))();
    } catch (error) {
      this.errors.push(error);
    }
    // Behind all promises that are kept by now.
    await new Promise((done) => setImmediate(done));
    for (const what of this.#afterwards) what();
    return true;
  }

  #next(lane) {
    const work = lane.waiting.shift();
    if (lane.waiting.length === 0) this.#busy.delete(lane);
    return work;
  }

  #nextTimer() {
    let next;
    for (const timer of this.#timers) if (!timer.owner.isFrozen && !(next?.at <= timer.at)) next = timer;
    return next;
  }

  /** What the dead had before them. */
  #bury() {
    for (const lane of this.#busy) if (lane.owner.isDead) this.#busy.delete(lane);
    for (const timer of this.#timers) if (timer.owner.isDead) this.#timers.delete(timer);
  }

  /** Goes on until `holds`, which is asked now and then; `false` when that takes too long. */
  async until(holds, steps) {
    for (let left = steps; left > 0; left -= 1) {
      if (left % 20 === 0 && holds()) return true;
      if (!(await this.step())) return holds();
    }
    return holds();
  }
}
