// Where a replica lives on the disk: it sleeps there while its page does, and moves when the place is lost.

import type { Core } from "./core.js";
import { randomBytes } from "./dice.js";
import type { NeapError } from "./errors.js";
import { Journal } from "./journal.js";
import type { Found } from "./restore.js";
import { MemoryStorage } from "./storage/memory.js";
import { newIdentity } from "./storage/rows.js";
import type { Heirs, Storage } from "./storage/storage.js";
import { troubleOf } from "./storage/trouble.js";

/** Whoever lives there. */
export interface Resident {
  readonly isClosed: boolean;
  /** Something is on the disk, mutations up to `turn` if it is told. */
  stored(turn: number | undefined): void;
  /** It goes on, after sleep or in another place, and there perhaps under another id. */
  goOn(isAnother: boolean): void;
  report(error: NeapError): void;
  /** The relay is to be asked in which life it is. */
  askAgain(): void;
  /** Ends the connection until it goes on. */
  hangUp(): void;
  close(): Promise<void>;
}

/** A replica's journal, and the disk under it. */
export class Home {
  journal: Journal;
  private isAsleep = false;
  /** A disk that failed. As long as this page delivers what lies there, nobody else is to do it. */
  private forsaken: Storage | undefined = undefined;
  /** Whether it is on its way to another disk, or none. */
  private isMoving = false;
  private isDiscarded = false;
  /** Resolves when it has moved. */
  private moved: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly core: Core,
    private disk: Storage,
    stored: Found,
    private readonly resident: Resident,
    /** Whether it is of another tab that is gone. */
    private readonly isOrphan: boolean,
  ) {
    this.journal = this.moveIn(disk, stored);
  }

  private moveIn(disk: Storage, stored: Found): Journal {
    this.disk = disk;
    disk.onLost = (reason) => this.failed(reason);
    return (this.journal = new Journal(this.core, disk, stored, this));
  }

  get kind() {
    return this.disk.kind;
  }

  /** Looks after the replicas of other tabs. */
  watch(heirs: Heirs): void {
    this.disk.watch(heirs).catch(() => {});
  }

  /** Whether it is awake, and under the id that it goes on with: nothing may be said before. */
  get isThere(): boolean {
    return !this.isAsleep && !this.isMoving;
  }

  get canSleep(): boolean {
    return !this.isMoving && this.kind !== "memory";
  }

  /** Nothing is written until it wakes up, and others may take the place. It may come while it is just waking up. */
  sleep(): void {
    this.isAsleep = true;
    this.disk.sleep();
  }

  async wake(): Promise<void> {
    if (!this.isAsleep || this.isMoving) return;
    try {
      const isOurs = await this.disk.wake();
      // A page that comes back is told of it twice, by "resume" and "pageshow".
      if (this.resident.isClosed || !this.isAsleep) return;
      if (!isOurs) return await this.moveOut();
    } catch (error) {
      return this.failed(error);
    }
    this.isAsleep = false;
    this.resident.goOn(false);
  }

  // What the journal tells.

  stored(turn: number | undefined): void {
    this.resident.stored(turn);
  }

  async failed(error: unknown): Promise<void> {
    if (this.isMoving || this.kind === "memory") return;
    // Nobody goes on, and what was not written ends with the page.
    if (this.resident.isClosed) {
      void this.journal.abandon();
      return this.resident.report(troubleOf(error));
    }
    // Whoever opens the old disk later goes on from what is on it.
    const forsake = (from: Storage) => (this.forsaken = from).forsake();
    await this.moveTo(() => Promise.resolve(new MemoryStorage()), () => this.core.forsakeDisk(), forsake);
    this.resident.report(troubleOf(error));
  }

  doubtful(): void {
    this.resident.askAgain();
  }

  dispossessed(): void {
    // Whoever wakes up looks after that.
    if (!this.isAsleep) void this.moveOut();
  }

  /** Somebody else delivers what lies in this place; what did not get there goes to another. */
  async moveOut(): Promise<void> {
    if (this.isMoving) return;
    // A courier has nothing else to do: whoever took its place delivers now.
    if (this.isOrphan) return this.resident.isClosed ? undefined : this.resident.close();
    this.resident.hangUp();
    await this.moveTo((disk) => disk.moveOut(), () => this.core.dispossess(), (from) => void from.close());
  }

  /** Goes on with another disk; `leave` tells the core what becomes of the one before, of which `letGo` lets go. */
  private moveTo(
    find: (from: Storage) => Promise<Storage>,
    leave: () => number,
    letGo: (from: Storage) => void,
  ): Promise<void> {
    this.isMoving = true;
    const moved = this.move(find, leave, letGo);
    this.moved = moved;
    return moved;
  }

  private async move(
    find: (from: Storage) => Promise<Storage>,
    leave: () => number,
    letGo: (from: Storage) => void,
  ): Promise<void> {
    const from = this.disk;
    from.onLost = () => {};
    await this.journal.abandon();
    const disk = await find(from).catch((error: unknown) => {
      this.resident.report(troubleOf(error));
      return new MemoryStorage();
    });
    letGo(from);
    this.isMoving = false;
    const { id, spare, contact } = this.journal.outbox;
    const nothing = { pageBytes: 0, steps: [], blocks: [], logBytes: 0, isDamaged: false };
    this.moveIn(disk, { ...nothing, replica: { ...newIdentity(), id, spare, contact } });
    // The spare id on the old disk may be taken by whoever goes on there.
    this.core.setSpare(randomBytes(16));
    this.isAsleep = false;
    this.resident.goOn(leave() !== 0);
  }

  /** Writes nothing more; what lies in the outbox goes before others can find it. */
  discard(): void {
    this.isDiscarded = true;
    void this.journal.abandon();
  }

  /** Writes what is due, waking up for it, and leaves the place to others. */
  async close(): Promise<void> {
    if (this.isAsleep) {
      const isOurs = await this.disk.wake().catch(() => true);
      this.isAsleep = false;
      if (!isOurs && !this.isDiscarded) await this.moveOut();
    }
    let journal: Journal;
    do {
      ({ journal } = this);
      await journal.close();
      // It was on its way to another place, or its last write has found that this one is another's.
      await this.moved;
    } while (journal !== this.journal);
    if (this.isDiscarded) await this.disk.discard().catch(() => {});
    await Promise.all([this.disk.close(), this.forsaken?.close()]);
  }
}
