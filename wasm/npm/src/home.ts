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
  isAsleep = false;
  /** A disk that failed. As long as this page delivers what lies there, nobody else is to do it. */
  private forsaken: Storage | undefined = undefined;
  /** Whether it is on its way to another disk, or none. */
  private isMoving = false;

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
    if (this.resident.isClosed || this.isMoving || this.kind === "memory") return;
    // Whoever opens the old disk later goes on from what is on it.
    const forsake = (from: Storage) => (this.forsaken = from).forsake();
    if (await this.moveTo(() => Promise.resolve(new MemoryStorage()), () => this.core.forsakeDisk(), forsake))
      this.resident.report(troubleOf(error));
  }

  doubtful(): void {
    this.resident.askAgain();
  }

  dispossessed(): void {
    // Whoever wakes up looks after that.
    if (!this.isAsleep) void this.moveOut();
  }

  /** Somebody else delivers what lies in this place. */
  async moveOut(): Promise<void> {
    if (this.resident.isClosed || this.isMoving) return;
    // Who delivers for another has an heir in whoever delivers now.
    if (this.isOrphan) return this.resident.close();
    this.resident.hangUp();
    await this.moveTo((disk) => disk.moveOut(), () => this.core.dispossess(), (from) => void from.close());
  }

  /** Goes on with another disk; `leave` tells the core what becomes of the one before, of which `letGo` lets go. */
  private async moveTo(
    find: (from: Storage) => Promise<Storage>,
    leave: () => number,
    letGo: (from: Storage) => void,
  ): Promise<boolean> {
    this.isMoving = true;
    const from = this.disk;
    from.onLost = () => {};
    await this.journal.abandon();
    const disk = await find(from).catch((error: unknown) => {
      this.resident.report(troubleOf(error));
      return new MemoryStorage();
    });
    letGo(from);
    this.isMoving = false;
    if (this.resident.isClosed) {
      await disk.close();
      return false;
    }
    const { id, spare, contact } = this.journal.outbox;
    const nothing = { pageBytes: 0, steps: [], blocks: [], logBytes: 0, isDamaged: false };
    this.moveIn(disk, { ...nothing, replica: { ...newIdentity(), id, spare, contact } });
    // The spare id on the old disk may be taken by whoever goes on there.
    this.core.setSpare(randomBytes(16));
    this.isAsleep = false;
    this.resident.goOn(leave() !== 0);
    return true;
  }

  /** Writes what is due, waking up for it, and leaves the place to others. */
  async close(): Promise<void> {
    if (this.isAsleep) await this.disk.wake().catch(() => {});
    await this.journal.close();
    await Promise.all([this.disk.close(), this.forsaken?.close()]);
  }
}
