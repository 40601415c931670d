// What apps were told of their edits, to be held against what the relay has in the end.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { markOf } from "./author.mjs";

export const COLLECTIONS = ["red", "green", "marks"];

/** What the app was told of each mutation. */
export class Ledger {
  marks = new Map();
  /** When what was heard: of a new edit, and of an outcome. */
  moments = [];
  errors = new Map();
  /** Authors whose memory is gone: what they had not settled may be lost. */
  forgetful = new Set();

  constructor(weight = 0) {
    this.weight = weight;
  }

  hear({ mark, error, ...news }) {
    if (error) this.errors.set(error, (this.errors.get(error) ?? 0) + 1);
    else {
      if (news.made) this.moments.push([mark, "made"]);
      if (news.outcome) this.moments.push([mark, "told"]);
      this.marks.set(mark, { name: mark.split("-")[1], ...this.marks.get(mark), ...news });
    }
  }

  /** What the simulator's checker reads: all that was made, and where the relay has put it. */
  history(all) {
    const seqs = new Map(all.marks.map(({ key, seq }) => [key, seq]));
    const mutations = {};
    for (const [mark, { made, refused, outcome }] of this.marks)
      mutations[mark] = { ...made, seq: seqs.get(mark), refused: refused ?? (outcome?.status === "refused" ? outcome.code : undefined) };
    const records = COLLECTIONS.flatMap((name) => all[name].map(({ key, seq, data }) => [name, key, seq, data]));
    return JSON.stringify({ moments: this.moments, mutations, records });
  }

  isRefused({ refused, outcome }) {
    return refused !== undefined || outcome?.status === "refused";
  }

  /** Marks that must be at the relay or be known to be refused. */
  promised() {
    const all = [...this.marks].filter(([, { durable, outcome }]) => durable || outcome);
    return all.filter(([, found]) => found.outcome || !this.forgetful.has(found.name));
  }

  /** What is promised and has come to nothing, in words. */
  missing(applied) {
    return this.promised()
      .filter(([mark, found]) => !applied.has(mark) && !this.isRefused(found))
      .map(([mark, found]) => `${mark} ${JSON.stringify(found)}`);
  }

  /**
   * Holds it against all that the relay has, as lists of `{ key, seq, data }` by collection, and its newest seq; `past` are marks
   * that it had in lives of the datastore that are over, if there were any. Of what was on its way when a life ended, or when two
   * tabs without locks believed a place to be theirs, nobody may be able to tell.
   */
  check(all, seq, past, mayBeUnknown = past !== undefined) {
    const isUnknown = ({ refused, outcome }) => (refused ?? outcome?.code) === "outcome-unknown";
    const marks = [...this.marks.values()];
    const applied = all.marks.map(({ key }) => key);
    assert.deepEqual(this.missing(new Set([...applied, ...(past ?? [])])), [], "lost");
    // Each mutation sets a mark and takes one seq, so one that was applied twice took a seq that no mark has.
    assert.equal(seq, all.marks.length, "a seq for each mark, and no more");
    assert.equal(new Set(all.marks.map((mark) => mark.seq)).size, seq);
    for (const { key, data, seq } of all.marks) {
      const found = this.marks.get(key);
      // A killed page may not have told of it.
      if (!found) continue;
      assert.deepEqual(data, markOf(key, found.name, this.weight));
      // What one life has answered, and the disk has not kept, another one may answer otherwise.
      if (past || (mayBeUnknown && isUnknown(found))) continue;
      assert.equal(this.isRefused(found), false, `${key} was refused and is there`);
      if (found.outcome) assert.equal(found.outcome.seq, seq, `${key} has the seq that was told`);
    }
    const strange = marks.filter((one) => one.isSure && this.isRefused(one) && !(mayBeUnknown && isUnknown(one)));
    assert.deepEqual(strange, [], "nothing was refused without a reason");
  }
}

/** The simulator's checker of histories: its exit code tells. */
export const judge = (history) =>
  spawnSync("cargo", ["run", "--quiet", "--release", "-p", "neap-core", "--example", "judge"], { input: history, encoding: "utf8", maxBuffer: 1 << 28 });
