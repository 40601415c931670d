// What goes to the disk, in one write after the other, and what may go on once it is there.

import { soon, stopwatch } from "./clock.js";
import { JOURNAL_CHECKPOINT, JOURNAL_FRAME, JOURNAL_NOTHING, JOURNAL_PAGES, CATCHING_UP, GREETING, LIVE, type Core } from "./core.js";
import { randomBytes, toHex } from "./dice.js";
import { CATCH_UP_LOG_BYTES, LOG_BYTES_MIN, SLICE_MS } from "./limits.js";
import { Lives } from "./lives.js";
import { adoptPools, type Found } from "./restore.js";
import { isOfPool, type Batch, type Block, type Checkpoint, type Identity, type Known, type Outbox, type Step, type Storage, type Verdict } from "./storage/storage.js";

/** What the journal tells its owner. */
export interface JournalListener {
  /** Something is on the disk, mutations up to `turn` if it is told: there may be more to send. */
  written(turn: number | undefined): void;
  /** The disk is of no more use. */
  failed(error: unknown): void;
  /** Somebody else has the replica's place on the disk. */
  dispossessed(): void;
  /** Another tab has stored another life of the datastore: the relay is to be asked in which one it is. */
  doubtful(): void;
}

/** What a checkpoint holds: the pages that have changed, all, or all because what is stored is wrong. */
const CHANGED = 0;
const WHOLE = 1;
const ANEW = 2;
type Extent = typeof CHANGED | typeof WHOLE | typeof ANEW;

interface Making {
  readonly known: Known;
  readonly extent: Extent;
  readonly pages: Map<number, Uint8Array>;
}

/** A write that is on its way. */
interface Write {
  readonly batch: Batch;
  /** The blocks that no other write has taken before. */
  own: readonly Block[];
  readonly isRescue: boolean;
}

/**
 * Keeps a replica on the disk. Two kinds of things are stored: the outbox, at once and for certain, and the
 * confirmed records, which the relay has too. What is settled leaves the outbox in the very transaction
 * that stores its effect.
 */
export class Journal {
  private blocks: Block[] = [];
  private steps: Step[] = [];
  /** Of which life they are. */
  private stepsEpoch: string | undefined = undefined;
  private renumbered = false;
  /** Whether a frame has come: before that there are no news of pools. */
  private hasHeard = false;
  private replicaIsDue = false;
  private knownIsDue = false;
  /** The one that is being made; then the one that is made and waits for its turn to be written. */
  private making: Making | undefined = undefined;
  private made: Making | undefined = undefined;
  /** Blocks that are on the disk, oldest first. */
  private stored: { first: number; last: number }[];
  /** Frames of the catch-up under way, until they are too many. A new connection goes on where it broke off. */
  private pages: Uint8Array[] | undefined = undefined;
  private pagesBytes = 0;
  private catchUpFrom = 0;
  /** Confirmed things wait while a checkpoint that they build on is being made, or may not be made. */
  private isHeld = false;
  /** What is stored of the records is of no use until it is written anew. */
  private isDamaged: boolean;
  private stamp: string | undefined;
  private logBytes: number;
  private checkpointBytes: number;
  private writing: Promise<void> | undefined = undefined;
  private readonly underWay = new Set<Write>();
  private rescuing: Promise<unknown> = Promise.resolve();
  private isOver = false;
  /** The newest checkpoint on the disk of which all items of pools are held here. */
  private seen: string | undefined;
  private readonly lives: Lives;
  /** Counts the ids under which the replica went on: what was written for one says nothing of another. */
  private life = 0;
  id: Uint8Array;
  spare: Uint8Array;
  contact: number | undefined;

  constructor(
    private readonly core: Core,
    private readonly storage: Storage,
    stored: Found,
    private readonly listener: JournalListener,
  ) {
    ({ id: this.id, spare: this.spare, contact: this.contact } = stored.replica);
    this.stored = stored.blocks.map(({ first, last }) => ({ first, last }));
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
    this.life += 1;
    this.id = this.core.id();
    this.spare = spare;
    this.renumbered = true;
    this.replicaIsDue = true;
    this.blocks = [];
    this.stored = [];
    // What is written again after a sleep brings nothing of the other id back.
    const nothing = { blocks: [], gone: [], renumbered: false, replica: undefined };
    for (const write of this.underWay) {
      write.own = [];
      Object.assign<Outbox, Outbox>(write.batch, nothing);
    }
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
    switch (this.core.journal()) {
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
    if (this.core.phase() !== CATCHING_UP) this.pages = undefined;
  }

  /** The relay has said in which life it is; whose it does not take it has told nothing. */
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

  /** Encodes the pages that have changed, or all, in slices, and has them written with what waits. */
  private makeCheckpoint(extent: Extent): void {
    if (this.storage.kind === "memory") return;
    const known = this.known();
    if (!known) return;
    this.isDamaged = false;
    // The core forgets that a page has changed when it is encoded. So this one takes over what was encoded
    // for a checkpoint that it overtakes, be that in the making or waiting for its turn to be written.
    const before = this.making ?? this.made;
    const least = this.stamp === undefined ? WHOLE : CHANGED;
    const wanted = Math.max(extent, least, before?.extent ?? CHANGED) as Extent;
    const mine: Making = { known, extent: wanted, pages: new Map(wanted === CHANGED ? before?.pages : []) };
    this.made = undefined;
    this.making = mine;
    this.isHeld = true;
    // News of pools stay: should the checkpoint be left out, they are nowhere else on the disk.
    this.steps = this.stepsEpoch === known.epoch ? this.steps.filter(isOfPool) : [];
    this.logBytes = 0;
    let next = 0;
    const slice = () => {
      if (this.making !== mine || this.isOver) return;
      const end = stopwatch() + SLICE_MS;
      do {
        const isNext = mine.extent !== CHANGED && next < this.core.pageCount();
        const index = isNext ? next++ : this.core.dirtyPage();
        if (index < 0) return this.finishCheckpoint(mine);
        mine.pages.set(index, this.core.page(index));
      } while (this.isHurried || stopwatch() < end);
      soon(slice);
    };
    this.goOn = slice;
    slice();
  }

  /** Encodes the next slice of the checkpoint that is being made. */
  private goOn: () => void = () => {};
  /** There is no time left for slices. */
  private isHurried = false;

  private finishCheckpoint(made: Making): void {
    this.made = made;
    this.making = undefined;
    this.isHeld = false;
    this.replicaIsDue = true;
    this.flush();
  }

  private known(): Known | undefined {
    const info = this.core.info();
    const epoch = this.core.epoch();
    return info && epoch !== undefined ? { seq: this.core.seq(), epoch, info, sum: this.core.checksum(info, 0, 0) } : undefined;
  }

  /** Takes what the core wants stored, and writes it as soon as the write before is done. */
  flush(): void {
    if (this.storage.kind === "memory") return this.forgetAll();
    this.takeBlocks();
    if (!this.writing && this.isDue()) this.writing = this.writeAll();
  }

  private takeBlocks(): void {
    const { core } = this;
    for (let bytes = core.block(); bytes; bytes = core.block()) {
      const [first, last] = [core.blockFirst(), core.blockLast()];
      this.blocks.push({ first, last, bytes, sum: core.ownChecksum(bytes, first, last) });
      if (core.phase() !== LIVE) askToPersist();
    }
  }

  /**
   * The page goes, and what is being written may go with it: so the outbox is written apart, in one step that needs
   * the page no longer once it is on its way.
   */
  rescue(): void {
    if (this.storage.kind === "memory" || this.isOver) return;
    this.takeBlocks();
    const { life } = this;
    const before = [...this.underWay];
    const mine = this.takeOutbox();
    const isNew = mine.blocks.length > 0 || mine.renumbered;
    // All that is not known to be stored goes along: this may replace what is stored before that is.
    const blocks = [...before.flatMap(({ own }) => own), ...mine.blocks];
    const renumbering = [...before.map(({ batch }) => batch), mine].find(({ renumbered }) => renumbered);
    const isUnderWay = !isNew && before.at(-1)?.isRescue;
    if (isUnderWay || (blocks.length === 0 && !renumbering)) return;
    const batch = { ...mine, blocks, renumbered: renumbering !== undefined, replica: renumbering?.replica };
    const rescue = { batch, own: mine.blocks, isRescue: true };
    const told = this.write(rescue, before).then(
      (verdict) => {
        if (verdict === "dispossessed") this.outlived();
        else if (life === this.life) this.listener.written(blocks.at(-1)?.last);
      },
      (error) => this.failed(error),
    );
    this.rescuing = Promise.all([this.rescuing, told]);
  }

  /** Sends a write on its way, which has the blocks of those `before` too. Whatever becomes of the rest, all blocks are stored. */
  private async write(write: Write, before: readonly Write[] = []): Promise<Verdict> {
    const { life } = this;
    this.underWay.add(write);
    try {
      const verdict = await this.storage.write(write.batch);
      // Before anything else can be written.
      if (verdict !== "dispossessed" && life === this.life) for (const one of [...before, write]) this.keep(one);
      return verdict;
    } finally {
      this.underWay.delete(write);
    }
  }

  /** Memory is as durable as it gets: everything may go on at once. */
  private forgetAll(): void {
    this.blocks = [];
    this.steps = [];
    this.replicaIsDue = false;
    this.knownIsDue = false;
    this.core.infoSaved();
    if (this.hasHeard) this.core.poolNewsSaved(this.core.poolNews());
    this.core.saved(this.core.settled());
    this.listener.written(this.core.lastTurn());
  }

  private isDue(): boolean {
    const confirmed = this.areStepsDue || this.made || this.replicaIsDue || this.knownIsDue;
    return !this.isOver && (this.blocks.length > 0 || (!this.isHeld && Boolean(confirmed)));
  }

  /** Steps of a life of which no records are held yet wait for the checkpoint that brings them. */
  private get areStepsDue(): boolean {
    return this.steps.length > 0 && (this.stepsEpoch !== this.core.epoch() || this.core.info() !== undefined);
  }

  private async writeAll(): Promise<void> {
    try {
      // A rescue that has to begin anew after a sleep would come behind what is written now, and replace it.
      while (this.isDue()) await (this.underWay.size > 0 ? this.rescuing : this.writeOnce());
    } catch (error) {
      this.failed(error);
    } finally {
      this.writing = undefined;
    }
  }

  private failed(error: unknown): void {
    if (!this.isOver) this.listener.failed(error);
  }

  private async writeOnce(): Promise<void> {
    const { core, life } = this;
    const news = this.hasHeard && !this.isHeld ? core.poolNews() : undefined;
    const batch = this.takeBatch();
    const { blocks } = batch;
    const settled = core.settled();
    const verdict = await this.write({ batch, own: blocks, isRescue: false });
    if (verdict === "dispossessed") return this.outlived();
    if (batch.checkpoint) {
      // Pages that another tab has overtaken say nothing of what is stored now, nor do changes to them.
      this.stamp = verdict === "behind" ? undefined : batch.checkpoint.stamp;
      if (verdict === "stored") this.seen = this.stamp;
      if (verdict === "behind" && (this.making ?? this.made)) this.makeCheckpoint(WHOLE);
      this.checkpointBytes = Math.max(this.checkpointBytes, sizeOf(batch.checkpoint.pages.values()));
    }
    if (verdict === "gap") {
      // Reading takes a while, and the blocks are there.
      if (life === this.life) this.listener.written(blocks.at(-1)?.last);
      const found = await this.storage.reload();
      if (found) this.seen = (await adoptPools(core, found)) ? found.stamp : undefined;
      // News of pools that were left out are nowhere else on the disk; those of a life that is over have no place there.
      if (batch.epoch === core.epoch()) this.steps = [...batch.steps.filter(isOfPool), ...this.steps];
      this.replicaIsDue = true;
      this.knownIsDue ||= batch.known !== undefined;
      this.isHeld = this.lives.found(found?.known?.epoch);
      if (this.isHeld) this.listener.doubtful();
      else this.makeCheckpoint(batch.checkpoint?.overrules ? ANEW : WHOLE);
    } else if ((batch.known || batch.checkpoint) && !this.knownIsDue) {
      // A welcome that has come meanwhile has brought what is not in this batch, a birth stamp perhaps.
      core.infoSaved();
    }
    if (life !== this.life) return;
    if (verdict !== "gap") {
      if (news !== undefined) core.poolNewsSaved(news);
      this.stored = this.stored.filter(({ first }) => !batch.gone.includes(first));
      if (batch.replica) core.saved(settled);
    }
    this.listener.written(blocks.at(-1)?.last);
  }

  /** The blocks of a write are on the disk, and need not be written again. */
  private keep(write: Write): void {
    const { own, batch } = write;
    write.own = [];
    batch.blocks = [];
    // What is still on its way, or is made again when the page wakes up, must not take away what is stored now.
    if (batch.renumbered) for (const other of this.underWay) other.batch.renumbered = false;
    this.stored.push(...own.map(({ first, last }) => ({ first, last })));
  }

  private outlived(): void {
    this.isOver = true;
    this.listener.dispossessed();
  }

  private takeBatch(): Batch {
    const { core } = this;
    const outbox = this.takeOutbox();
    if (this.isHeld) return outbox;
    const settled = core.settled();
    const { areStepsDue } = this;
    const batch: Batch = {
      ...outbox,
      gone: this.stored.filter(({ last }) => last <= settled).map(({ first }) => first),
      replica: this.replicaIsDue ? this.replica() : outbox.replica,
      steps: areStepsDue ? this.steps : [],
      known: this.knownIsDue ? this.known() : undefined,
      checkpoint: this.takeCheckpoint(),
    };
    if (areStepsDue) this.steps = [];
    this.replicaIsDue = false;
    this.knownIsDue = false;
    return batch;
  }

  private takeOutbox(): Batch {
    const { blocks, renumbered } = this;
    this.blocks = [];
    this.renumbered = false;
    const replica = renumbered ? this.replica() : undefined;
    return { blocks, renumbered, epoch: this.stepsEpoch, gone: [], replica, steps: [], known: undefined, checkpoint: undefined };
  }

  private replica(): Identity {
    const { core, id, spare, contact } = this;
    const account = core.account();
    return { id, spare, account, sum: core.ownChecksum(account, 0, 0), primary: core.primary(), contact };
  }

  private takeCheckpoint(): Checkpoint | undefined {
    if (!this.made) return undefined;
    const { known, pages, extent } = this.made;
    this.made = undefined;
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
    this.isHurried = true;
    if (this.making !== undefined) this.goOn();
    this.flush();
    while (this.writing) await this.writing;
    await this.rescuing;
    this.isOver = true;
  }

  /** Writes nothing more; resolves when it is known what became of the last write. */
  async abandon(): Promise<void> {
    this.isOver = true;
    await Promise.all([this.writing, this.rescuing]);
  }
}

let hasAsked = false;

/** Asks the browser, once, not to clear away what only this device has. */
function askToPersist(): void {
  if (hasAsked) return;
  hasAsked = true;
  const { storage } = (globalThis as { navigator?: { storage?: StorageManager } }).navigator ?? {};
  storage?.persist?.().catch(() => {});
}

const sizeOf = (pages: Iterable<Uint8Array>): number => {
  let sum = 0;
  for (const page of pages) sum += page.length;
  return sum;
};
