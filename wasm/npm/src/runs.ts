// Unconditional sets on their way into the core: many cross in one text.

import { QUEUE_CHARS, QUEUE_RECORDS } from "./limits.js";
import type { Plain } from "./record.js";

/** Sets of one collection in a row. */
interface Run {
  readonly collection: string;
  readonly records: Plain[];
}

export class Runs {
  private runs: Run[] = [];
  private chars = 0;
  /** Records that wait. */
  size = 0;

  /** Takes a record of about `chars` characters; whether enough has come together. */
  add(collection: string, record: Plain, chars: number): boolean {
    let run = this.runs[this.runs.length - 1];
    if (run === undefined || run.collection !== collection) this.runs.push((run = { collection, records: [] }));
    run.records.push(record);
    this.size += 1;
    this.chars += chars;
    return this.size >= QUEUE_RECORDS || this.chars >= QUEUE_CHARS;
  }

  /** Hands over what waits, as a JSON array for each run. */
  drain(cross: (collection: string, jsonArray: string) => void): void {
    const runs = this.runs;
    this.runs = [];
    this.size = 0;
    this.chars = 0;
    for (const { collection, records } of runs) cross(collection, JSON.stringify(records));
  }
}
