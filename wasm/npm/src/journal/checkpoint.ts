// A checkpoint in the making: its pages are encoded in slices, so that the app gets its turns.

import { soon, stopwatch } from "../clock.js";
import type { Core } from "../core.js";
import { SLICE_MS } from "../limits.js";
import type { Known } from "../storage/rows.js";

/** What a checkpoint holds: the pages that have changed, all, or all because what is stored is wrong. */
export const CHANGED = 0;
export const WHOLE = 1;
export const ANEW = 2;
export type Extent = typeof CHANGED | typeof WHOLE | typeof ANEW;

/** What is encoded for one, at a seq. */
export interface Made {
  readonly known: Known;
  readonly extent: Extent;
  readonly pages: Map<number, Uint8Array>;
}

export class CheckpointMaker {
  private making: Made | undefined = undefined;
  /** One that waits for its turn to be written. */
  private made: Made | undefined = undefined;
  /** There is no time left for slices. */
  private isHurried = false;
  /** Encodes the next slice. */
  private goOn: () => void = () => {};

  constructor(
    private readonly core: Core,
    private readonly done: () => void,
  ) {}

  get isMaking(): boolean {
    return this.making !== undefined;
  }

  get isDue(): boolean {
    return this.made !== undefined;
  }

  /** Begins one of at least this extent, in the place of one that was not taken yet. */
  make(known: Known, least: Extent): void {
    const { core } = this;
    // The core forgets that a page has changed when it is encoded. So this one takes over what was encoded
    // for a checkpoint that it overtakes, be that in the making or waiting for its turn to be written.
    const before = this.making ?? this.made;
    const extent = Math.max(least, before?.extent ?? CHANGED) as Extent;
    const mine: Made = { known, extent, pages: new Map(extent === CHANGED ? before?.pages : []) };
    this.made = undefined;
    this.making = mine;
    let next = 0;
    this.goOn = () => {
      if (this.making !== mine) return;
      const end = stopwatch() + SLICE_MS;
      do {
        const isNext = extent !== CHANGED && next < core.pageCount();
        const index = isNext ? next++ : core.dirtyPage();
        if (index < 0) return this.finish(mine);
        mine.pages.set(index, core.page(index));
      } while (this.isHurried || stopwatch() < end);
      soon(this.goOn);
    };
    this.goOn();
  }

  private finish(made: Made): void {
    this.made = made;
    this.making = undefined;
    this.done();
  }

  take(): Made | undefined {
    const { made } = this;
    this.made = undefined;
    return made;
  }

  /** Encodes what is left at once, now and later. */
  hurry(): void {
    this.isHurried = true;
    this.goOn();
  }

  stop(): void {
    this.making = undefined;
  }
}
