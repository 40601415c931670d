// What the driver asks of a place where a replica is kept. All of one `write` is stored, or nothing.

import type { StorageKind } from "../api.js";
import type { Block, Identity, Known, Page, Step } from "./rows.js";

/** Pages of the confirmed records that put a stored log out of use. */
export interface Checkpoint {
  readonly known: Known;
  readonly pages: ReadonlyMap<number, Uint8Array>;
  readonly pageCount: number;
  /** The checkpoint that these pages change; `undefined`: they are all there are. */
  readonly onto: string | undefined;
  /** What is stored is wrong, however new it is. */
  readonly overrules: boolean;
  /** The newest checkpoint of which all items of pools are held here. */
  readonly seen: string | undefined;
  /** Lives of the datastore that are over. What is stored of another one than these may be newer than this. */
  readonly over: ReadonlySet<string>;
  /** Names this checkpoint. */
  readonly stamp: string;
}

/** What a write does to the outbox: less and less, where another write has done it before this one has begun. */
export interface Outbox {
  blocks: readonly Block[];
  /** First turns of blocks that are settled as a whole. */
  gone: readonly number[];
  /** What is stored of it is replaced: the replica goes on under another id. */
  renumbered: boolean;
  /** Who the replica is and what it knows of itself. */
  replica: Identity | undefined;
}

/** One write. */
export interface Batch extends Outbox {
  /** Of which life the steps are. */
  readonly epoch?: string | undefined;
  readonly steps: readonly Step[];
  readonly known?: Known | undefined;
  readonly checkpoint?: Checkpoint | undefined;
}

/** What became of the confirmed part of a batch; the rest was stored. */
export type Verdict =
  /** It was stored, or is there already. */
  | "stored"
  /**
   * What is stored is not what steps or pages build on, and is not newer; or the pages are another tab's, whose pools this one
   * may not have opened: a checkpoint of everything helps, with what those pages hold of pools. Or what is stored is of a life
   * of which it is not known here that it is over.
   */
  | "gap"
  /** Another tab has stored something newer; the checkpoint was left out. */
  | "behind"
  /** Nothing was stored: somebody else has taken over this replica's place. */
  | "dispossessed";

/** What was found of the records, which all tabs share. Foreign rows are empty bytes. */
export interface Confirmed {
  readonly known?: Known | undefined;
  readonly stamp?: string | undefined;
  /** In parts, the first of which can be taken while the others are still being read. */
  readonly pages: readonly Promise<readonly Page[]>[];
  readonly steps: readonly Step[];
  readonly logBytes: number;
}

/** And of a replica. */
export interface Stored extends Confirmed {
  readonly replica: Identity;
  readonly blocks: readonly Block[];
}

/** Who is told when the tab of another replica is gone, or frozen. */
export interface Heirs {
  /** It has left mutations behind: this is its place. */
  adopt(orphan: Storage): Promise<void>;
  /** These ids have a place here, one behind the other. */
  here(ids: Uint8Array): void;
  /** It has left none: all is settled, with its effects up to `seq` of `epoch` on the disk. */
  done(id: Uint8Array, epoch: string | undefined, seq: number): void;
}

export interface Storage {
  readonly kind: StorageKind;
  /** Reads everything, once; pages go on coming afterwards. */
  load(): Promise<Stored>;
  /** Reads what all tabs share once more; nothing where the place has become somebody else's. */
  reload(): Promise<Confirmed | undefined>;
  write(batch: Batch): Promise<Verdict>;
  /** Called when the place is lost under the open datastore. */
  onLost: (reason: Error) => void;
  /** Looks after the replicas of other tabs. To be called again when there may be another one. */
  watch(heirs: Heirs): Promise<void>;
  /** Leaves the place to whoever wants it while the page is frozen; nothing is written then. */
  sleep(): void;
  /** Tells whether the place is still this replica's. It may be asked again before it has answered. */
  wake(): Promise<boolean>;
  /** Neither reads nor writes any more, and leaves the place to others only when the page is gone, or by `close`. */
  forsake(): void;
  /** Gives a place of its own to a replica that has lost this one. */
  moveOut(): Promise<Storage>;
  /** Removes what lies in the outbox, so that nobody delivers it. */
  discard(): Promise<void>;
  close(): Promise<void>;
}
