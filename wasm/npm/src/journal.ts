// What goes to the disk, in one write after the other, and what may go on once it is there.

import { JOURNAL_CHECKPOINT, JOURNAL_FRAME, JOURNAL_NOTHING, JOURNAL_PAGES, CATCHING_UP, GREETING, type Core } from "./core.js";
import { randomBytes, toHex } from "./dice.js";
import { ANEW, CHANGED, CheckpointMaker, WHOLE, type Extent } from "./journal/checkpoint.js";
import { Lives } from "./journal/lives.js";
import { OutboxKeeper } from "./journal/outbox.js";
import { CATCH_UP_LOG_BYTES, LOG_BYTES_MIN } from "./limits.js";
import { adoptPools, type Found } from "./restore.js";
import { isOfPool, type Known, type Step } from "./storage/rows.js";
import type { Batch, Checkpoint, Storage, Verdict } from "./storage/storage.js";

/** What the journal tells its owner. */
export interface JournalListener {
  /** Something is on the disk, mutations up to `turn` if it is told: there may be more to send. */
  stored(turn: number | undefined): void;
  /** The disk is of no more use. */
  failed(error: unknown): void;
  /** Somebody else has the replica's place on the disk. */
  dispossessed(): void;
  /** Another tab has stored another life of the datastore: the relay is to be asked in which one it is. */
  doubtful(): void;
}

/**
 * Keeps a replica on the disk. Two kinds of things are stored: the outbox, at once and for certain, and the
 * confirmed records, which the relay has too. What is settled leaves the outbox in the very transaction
 * that stores its effect.
 */
export class Journal {
  readonly outbox: OutboxKeeper;
  private readonly maker: CheckpointMaker;
  private steps: Step[] = [];
  /** Of which life they are. */
  private stepsEpoch: string | undefined = undefined;
  /** Whether a frame has come: before that there are no news of pools. */
  private hasHeard = false;
  private replicaIsDue = false;
  private knownIsDue = false;
  /** Frames of the catch-up under way, until they are too many. A new connection goes on where it broke off. */
  private pages: Uint8Array[] | undefined = undefined;
  private pagesBytes = 0;
  private catchUpFrom = 0;
  /** What is stored of the records is of no use until it is written anew. */
  private isDamaged: boolean;
  private stamp: string | undefined;
  private logBytes: number;
  private checkpointBytes: number;
  private writing: Promise<void> | undefined = undefined;
  private isOver = false;
  /** The newest checkpoint on the disk of which all items of pools are held here. */
  private seen: string | undefined;
  private readonly lives: Lives;

  constructor(
    private readonly core: Core,
    private readonly storage: Storage,
    stored: Found,
    private readonly listener: JournalListener,
  ) {
    this.outbox = new OutboxKeeper(core, storage, stored, this);
    this.maker = new CheckpointMaker(core, () => {
      this.replicaIsDue = true;
      this.flush();
    });
    this.stamp = stored.isDamaged ? undefined : stored.stamp;
    this.seen = stored.stamp;
    this.lives = new Lives(core.epoch());
    this.isDamaged = stored.isDamaged;
    this.logBytes = stored.logBytes;
    this.checkpointBytes = stored.pageBytes;
    // What was heard in another place may not have reached that disk, and is to be acknowledged when it is on this one.
    this.hasHeard = core.poolNews() > 0;
    if (this.hasHeard) this.makeCheckpoint(WHOLE);
  }

  /** What is known of replica and datastore wants to be stored before anything is pushed. */
  welcomed(): void {
    this.replicaIsDue = true;
    this.knownIsDue = true;
  }

  /** The replica goes on under its spare id; every pending mutation has another turn. */
  startAnew(spare: Uint8Array): void {
    this.outbox.startAnew(spare);
    this.replicaIsDue = true;
  }

  /** Something was settled. */
  settled(): void {
    this.replicaIsDue = true;
  }

  /** Takes a frame that the core has taken, and that led it from seq `from` and phase `phase` to where it is now. */
  frame(bytes: Uint8Array, from: number, phase: number): void {
    this.hasHeard = true;
    if (this.storage.kind === "memory") return;
    if (phase === GREETING) return this.met();
    if (phase === CATCHING_UP && !this.pages) {
      this.pages = [];
      this.pagesBytes = 0;
      this.catchUpFrom = from;
    }
    this.pages?.push(bytes);
    this.pagesBytes += bytes.length;
    // Too many for the log: they need not be kept.
    if (this.pages && this.pagesBytes > CATCH_UP_LOG_BYTES) this.pages.length = 0;
    const journal = this.core.journal();
    switch (journal) {
      case JOURNAL_NOTHING:
        break;
      case JOURNAL_FRAME:
        this.append(from, [bytes], bytes.length);
        break;
      case JOURNAL_PAGES:
        if (this.isDamaged) this.makeCheckpoint(ANEW);
        else if (this.pagesBytes <= CATCH_UP_LOG_BYTES) this.append(this.catchUpFrom, this.pages ?? [], this.pagesBytes);
        else this.makeCheckpoint(CHANGED);
        break;
      case JOURNAL_CHECKPOINT:
        // Who held something and is told everything was wrong about it, and so is what is stored.
        this.makeCheckpoint(this.isDamaged || from > 0 ? ANEW : WHOLE);
        break;
    }
    // Whoever has arrived may have asked for more at once.
    if (journal > JOURNAL_FRAME || this.core.phase() !== CATCHING_UP) this.pages = undefined;
  }

  /** Welcome has named the relay's epoch. Where the core has not accepted it, nothing is learned. */
  private met(): void {
    if (this.core.phase() === CATCHING_UP && this.lives.met(this.core.epoch())) this.makeCheckpoint(WHOLE);
  }

  /** Items were accepted that nothing else on the disk will tell of. */
  unseen(): void {
    const bytes = this.core.unseen();
    if (bytes && this.storage.kind !== "memory") this.append(this.core.seq(), [bytes], bytes.length);
  }

  private append(from: number, frames: readonly Uint8Array[], bytes: number): void {
    const to = this.core.seq();
    const epoch = this.core.epoch();
    // Those of another life lead nowhere.
    if (epoch !== this.stepsEpoch) this.steps = [];
    this.stepsEpoch = epoch;
    this.steps.push({ from, to, frames, sums: frames.map((frame) => this.core.checksum(frame, from, to)) });
    this.logBytes += bytes;
    const isLong = this.logBytes > LOG_BYTES_MIN && this.logBytes > this.checkpointBytes / 4;
    if (isLong && !this.isHeld) this.makeCheckpoint(CHANGED);
  }

  /** Confirmed things wait while a checkpoint that they build on is being made, or may not be made. */
  private get isHeld(): boolean {
    return this.maker.isMaking || this.lives.isInDoubt;
  }

  /** Has the pages that have changed encoded, or all, and written with what waits. */
  private makeCheckpoint(extent: Extent): void {
    const known = this.known();
    if (!known || this.isOver || this.storage.kind === "memory") return;
    this.isDamaged = false;
    // News of pools stay: should the checkpoint be left out, they are nowhere else on the disk.
    this.steps = this.stepsEpoch === known.epoch ? this.steps.filter(isOfPool) : [];
    this.logBytes = 0;
    this.maker.make(known, this.stamp === undefined ? (Math.max(extent, WHOLE) as Extent) : extent);
  }

  private known(): Known | undefined {
    const info = this.core.info();
    const epoch = this.core.epoch();
    return info && epoch !== undefined ? { seq: this.core.seq(), epoch, info, sum: this.core.checksum(info, 0, 0) } : undefined;
  }

  /** Takes what the core wants stored, and writes it as soon as the write before is done. */
  flush(): void {
    if (this.storage.kind === "memory") return this.forgetAll();
    this.outbox.take();
    if (!this.writing && this.isDue()) this.writing = this.writeAll();
  }

  /** The page goes: what it has to say is written at once. */
  rescue(): void {
    if (this.storage.kind !== "memory" && !this.isOver) this.outbox.rescue();
  }

  /** What has become of that. */
  rescued(verdict: Verdict, turn: number | undefined, life: number): void {
    if (verdict === "dispossessed") this.outlived();
    else if (life === this.outbox.life) this.listener.stored(turn);
  }

  /** Memory is as durable as it gets: everything may go on at once. */
  private forgetAll(): void {
    this.replicaIsDue = false;
    this.knownIsDue = false;
    this.core.infoSaved();
    if (this.hasHeard) this.core.poolNewsSaved(this.core.poolNews());
    this.core.saved(this.core.settled());
    this.listener.stored(this.core.lastTurn());
  }

  private isDue(): boolean {
    const confirmed = this.areStepsDue || this.maker.isDue || this.replicaIsDue || this.knownIsDue;
    return !this.isOver && (this.outbox.isDue || (!this.isHeld && confirmed));
  }

  /** Steps of a life of which no records are held yet wait for the checkpoint that brings them. */
  private get areStepsDue(): boolean {
    return this.steps.length > 0 && (this.stepsEpoch !== this.core.epoch() || this.core.info() !== undefined);
  }

  private async writeAll(): Promise<void> {
    try {
      // A rescue that has to begin anew after a sleep would come behind what is written now, and replace it.
      while (this.isDue()) await (this.outbox.isUnderWay ? this.outbox.rescuing : this.writeOnce());
    } catch (error) {
      this.failed(error);
    } finally {
      this.writing = undefined;
    }
  }

  failed(error: unknown): void {
    if (!this.isOver) this.listener.failed(error);
  }

  private async writeOnce(): Promise<void> {
    const { core, outbox } = this;
    const { life } = outbox;
    const news = this.hasHeard && !this.isHeld ? core.poolNews() : undefined;
    const batch = this.takeBatch();
    const { blocks } = batch;
    const settled = core.settled();
    const verdict = await outbox.write(batch);
    if (verdict === "dispossessed") return this.outlived();
    if (batch.checkpoint) {
      // Pages that another tab has overtaken say nothing of what is stored now, nor do changes to them.
      this.stamp = verdict === "behind" ? undefined : batch.checkpoint.stamp;
      if (verdict === "stored") this.seen = this.stamp;
      if (verdict === "behind" && (this.maker.isMaking || this.maker.isDue)) this.makeCheckpoint(WHOLE);
      const bytes = [...batch.checkpoint.pages.values()].reduce((sum, { length }) => sum + length, 0);
      this.checkpointBytes = Math.max(this.checkpointBytes, bytes);
    }
    if (verdict === "gap") {
      // Reading takes a while, and the blocks are there.
      if (life === outbox.life) this.listener.stored(blocks.at(-1)?.last);
      const found = await this.storage.reload();
      if (found) this.seen = (await adoptPools(core, found)) ? found.stamp : undefined;
      // News of pools that were left out are nowhere else on the disk; those of a life that is over have no place there.
      if (batch.epoch === core.epoch()) this.steps = [...batch.steps.filter(isOfPool), ...this.steps];
      this.replicaIsDue = true;
      this.knownIsDue ||= batch.known !== undefined;
      this.lives.found(found?.known?.epoch);
      if (this.lives.isInDoubt) this.listener.doubtful();
      else this.makeCheckpoint(batch.checkpoint?.overrules ? ANEW : WHOLE);
    } else if ((batch.known || batch.checkpoint) && !this.knownIsDue) {
      // A welcome that has come meanwhile has brought what is not in this batch, a birth stamp perhaps.
      core.infoSaved();
    }
    if (life !== outbox.life) return;
    if (verdict !== "gap") {
      if (news !== undefined) core.poolNewsSaved(news);
      outbox.letGo(batch.gone);
      if (batch.replica) core.saved(settled);
    }
    this.listener.stored(blocks.at(-1)?.last);
  }

  private outlived(): void {
    this.end();
    this.listener.dispossessed();
  }

  private takeBatch(): Batch {
    const next = this.outbox.next();
    if (this.isHeld) return next;
    const { areStepsDue } = this;
    const batch: Batch = {
      ...next,
      gone: this.outbox.settled(),
      replica: this.replicaIsDue ? this.outbox.identity() : next.replica,
      epoch: this.stepsEpoch,
      steps: areStepsDue ? this.steps : [],
      known: this.knownIsDue ? this.known() : undefined,
      checkpoint: this.takeCheckpoint(),
    };
    if (areStepsDue) this.steps = [];
    this.replicaIsDue = false;
    this.knownIsDue = false;
    return batch;
  }

  private takeCheckpoint(): Checkpoint | undefined {
    const made = this.maker.take();
    if (!made) return undefined;
    const { known, pages, extent } = made;
    const onto = extent === CHANGED ? this.stamp : undefined;
    const stamp = toHex(randomBytes(8));
    const { over } = this.lives;
    return { known, pages, pageCount: this.core.pageCount(), onto, overrules: extent === ANEW, seen: this.seen, over, stamp };
  }

  /** Stores who the replica is, under a generation that nobody had before: only then may it say Hello. */
  async introduce(): Promise<void> {
    this.replicaIsDue = true;
    this.flush();
    await this.writing;
  }

  /** Waits until everything that is due is written, then writes nothing more. */
  async close(): Promise<void> {
    this.maker.hurry();
    this.flush();
    while (this.writing) await this.writing;
    await this.outbox.rescuing;
    this.end();
  }

  /** Writes nothing more; resolves when it is known what became of the last write. */
  async abandon(): Promise<void> {
    this.end();
    await Promise.all([this.writing, this.outbox.rescuing]);
  }

  private end(): void {
    this.isOver = true;
    this.maker.stop();
  }
}
