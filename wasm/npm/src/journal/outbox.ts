// The outbox on its way to the disk: each block is written once, and once more where the page may go before that is done.

import { LIVE, type Core } from "../core.js";
import type { Found } from "../restore.js";
import type { Block, Identity } from "../storage/rows.js";
import type { Batch, Outbox, Storage, Verdict } from "../storage/storage.js";

/** A write that is on its way. */
interface Write {
  readonly batch: Batch;
  /** The blocks that no other write has taken before. */
  own: readonly Block[];
  readonly isRescue: boolean;
}

/** Who hears what has become of a rescue. */
export interface RescueListener {
  /** Mutations up to `turn` were written, or only who the replica is, under the id of this life. */
  rescued(verdict: Verdict, turn: number | undefined, life: number): void;
  failed(error: unknown): void;
}

/** Keeps who a replica is, and the mutations it has made, on the disk. */
export class OutboxKeeper {
  /** Blocks that no write has taken yet. */
  private blocks: Block[] = [];
  private renumbered = false;
  /** Blocks that are on the disk, oldest first. */
  private stored: { first: number; last: number }[];
  private readonly underWay = new Set<Write>();
  /** Resolves when all rescues are done, and told of. */
  rescuing: Promise<unknown> = Promise.resolve();
  /** Counts the ids under which the replica went on: what was written for one says nothing of another. */
  life = 0;
  id: Uint8Array;
  spare: Uint8Array;
  contact: number | undefined;

  constructor(
    private readonly core: Core,
    private readonly storage: Storage,
    { blocks, replica }: Found,
    private readonly listener: RescueListener,
  ) {
    ({ id: this.id, spare: this.spare, contact: this.contact } = replica);
    this.stored = blocks.map(({ first, last }) => ({ first, last }));
  }

  get isDue(): boolean {
    return this.blocks.length > 0;
  }

  get isUnderWay(): boolean {
    return this.underWay.size > 0;
  }

  /** The replica goes on under its spare id; every pending mutation has another turn. */
  startAnew(spare: Uint8Array): void {
    this.life += 1;
    this.id = this.core.id();
    this.spare = spare;
    this.renumbered = true;
    this.blocks = [];
    this.stored = [];
    // What is written again after a sleep brings nothing of the other id back.
    const nothing = { blocks: [], gone: [], renumbered: false, replica: undefined };
    for (const write of this.underWay) {
      write.own = [];
      Object.assign<Outbox, Outbox>(write.batch, nothing);
    }
  }

  /** Takes what the core wants to have stored. */
  take(): void {
    const { core } = this;
    for (let bytes = core.block(); bytes; bytes = core.block()) {
      const [first, last] = [core.blockFirst(), core.blockLast()];
      this.blocks.push({ first, last, bytes, sum: core.ownChecksum(bytes, first, last) });
      if (core.phase() !== LIVE) askToPersist();
    }
  }

  /** What is to be written next. */
  next(): Batch {
    const { blocks, renumbered } = this;
    this.blocks = [];
    this.renumbered = false;
    const replica = renumbered ? this.identity() : undefined;
    return { blocks, gone: [], renumbered, replica, steps: [] };
  }

  /** Who the replica is by now. */
  identity(): Identity {
    const { core, id, spare, contact } = this;
    const account = core.account();
    return { id, spare, account, sum: core.ownChecksum(account, 0, 0), primary: core.primary(), contact };
  }

  /** First turns of the stored blocks that are settled as a whole. */
  settled(): number[] {
    const settled = this.core.settled();
    return this.stored.filter(({ last }) => last <= settled).map(({ first }) => first);
  }

  /** These blocks are no longer on the disk. */
  letGo(gone: readonly number[]): void {
    this.stored = this.stored.filter(({ first }) => !gone.includes(first));
  }

  write(batch: Batch): Promise<Verdict> {
    return this.send({ batch, own: batch.blocks, isRescue: false }, []);
  }

  /**
   * The page goes, and what is being written may go with it: so the outbox is written apart, in one step that needs
   * the page no longer once it is on its way.
   */
  rescue(): void {
    this.take();
    const { life } = this;
    const before = [...this.underWay];
    const mine = this.next();
    const isNew = mine.blocks.length > 0 || mine.renumbered;
    // All that is not known to be stored goes along: this may replace what is stored before that is.
    const blocks = [...before.flatMap(({ own }) => own), ...mine.blocks];
    const renumbering = [...before.map(({ batch }) => batch), mine].find(({ renumbered }) => renumbered);
    const isUnderWay = !isNew && before.at(-1)?.isRescue;
    if (isUnderWay || (blocks.length === 0 && !renumbering)) return;
    const batch = { ...mine, blocks, renumbered: renumbering !== undefined, replica: renumbering?.replica };
    const told = this.send({ batch, own: mine.blocks, isRescue: true }, before).then(
      (verdict) => this.listener.rescued(verdict, blocks.at(-1)?.last, life),
      (error) => this.listener.failed(error),
    );
    this.rescuing = Promise.all([this.rescuing, told]);
  }

  /** Sends a write on its way, which has the blocks of those `before` too. Whatever becomes of the rest, all blocks are stored. */
  private async send(write: Write, before: readonly Write[]): Promise<Verdict> {
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

  /** The blocks of a write are on the disk, and need not be written again. */
  private keep(write: Write): void {
    const { own, batch } = write;
    write.own = [];
    batch.blocks = [];
    // What is still on its way, or is made again when the page wakes up, must not take away what is stored now.
    if (batch.renumbered) for (const other of this.underWay) other.batch.renumbered = false;
    this.stored.push(...own.map(({ first, last }) => ({ first, last })));
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
