// Drives one replica: whatever comes in goes to the core, and what the core puts out is carried out in one
// order. The view first, then the disk, then the relay: what reaches the wire is on the disk.

import { after, now, soon, type Cancel } from "./clock.js";
import { CATCHING_UP, GREETING, LIVE, STOPPED, type Core, type CoreEvent } from "./core.js";
import { Couriers } from "./couriers.js";
import { randomBytes } from "./dice.js";
import { Engine } from "./engine.js";
import { NeapError } from "./errors.js";
import { Home } from "./home.js";
import { onPage } from "./page.js";
import { SEND_AGAIN_MS, TICK_MAX_MS } from "./limits.js";
import { LivePresence } from "./presence.js";
import type { Found } from "./restore.js";
import { Siblings } from "./siblings.js";
import type { Socket } from "./socket.js";
import { connectionOf, offlineUntil, StatusKeeper } from "./status.js";
import type { Storage } from "./storage/storage.js";
import { isKnown, messageOf } from "./trouble.js";
import { Waiters } from "./waiters.js";

export interface DriverParts {
  readonly core: Core;
  readonly storage: Storage;
  /** Names what tabs share. */
  readonly place: string;
  readonly stored: Found;
  /** Makes the driver that delivers what a tab has left behind. */
  readonly heir: ((orphan: Storage) => Promise<Driver>) | undefined;
  /** Erases what this device holds of the datastore, whatever has become of the disk since. */
  readonly eraseCopy: () => Promise<unknown>;
  /** The road to the relay; `undefined`: there is none. */
  readonly socket: Socket | undefined;
}

export class Driver {
  readonly core: Core;
  readonly engine: Engine;
  readonly presence: LivePresence;
  private readonly status: StatusKeeper;
  private readonly home: Home;
  private readonly socket: Socket | undefined;
  private readonly siblings: Siblings | undefined = undefined;
  private readonly heir: DriverParts["heir"];
  private readonly eraseCopy: DriverParts["eraseCopy"];
  private readonly couriers: Couriers;
  private stopWatching: Cancel = () => {};
  private cancelTick: Cancel = () => {};
  private cancelSend: Cancel = () => {};
  private tickAt = -1;
  /** Whether the disk knows of this replica. */
  private isIntroduced = false;
  /** Whether the app wants a connection. */
  private isWanted = true;
  /** Whether the first try to connect is under way, or the connection was there a moment ago. */
  private isHopeful = true;
  private lastCloseCode = 0;
  private lastFailure = "";
  isClosed = false;
  private closing: Promise<void> | undefined = undefined;
  private naps = 0;
  private isReady = false;
  private readonly ready = new Waiters();
  private readonly settled = new Waiters();

  constructor({ core, storage, place, stored, socket, heir, eraseCopy }: DriverParts) {
    this.core = core;
    this.heir = heir;
    this.eraseCopy = eraseCopy;
    this.engine = new Engine(core, this, soon);
    this.presence = new LivePresence(this.engine);
    this.couriers = new Couriers(this.engine.emitter);
    this.home = new Home(core, storage, stored, this, heir === undefined);
    this.socket = socket;
    if (storage.kind === "indexeddb" && "BroadcastChannel" in globalThis)
      this.siblings = new Siblings(core, place, (note) => this.hear(note), () => this.watch());
    this.status = new StatusKeeper(this.lookAround());
  }

  private watch(): void {
    const { heir } = this;
    if (!heir) return;
    const adopt = async (orphan: Storage) => {
      const { naps } = this;
      const courier = await heir(orphan);
      // Meanwhile the page has slept, and the place has been given away.
      return naps === this.naps ? this.employ(courier) : courier.close();
    };
    const here = (ids: Uint8Array) => {
      this.core.keepSiblings(ids);
      this.work();
    };
    const done = (id: Uint8Array, epoch = "", seq = 0) => {
      this.core.siblingDone(id, epoch, seq);
      this.work();
    };
    this.home.watch({ adopt, here, done });
  }

  start(): void {
    this.stopWatching = onPage({ leave: () => this.hurry(), sleep: () => this.sleep(), wake: () => this.wake() });
    void this.home.journal.introduce().then(() => {
      this.isIntroduced = true;
      this.connect();
    });
    this.engine.workLater();
    this.look();
  }

  private async employ(courier: Driver): Promise<void> {
    if (this.isClosed) return courier.close();
    if (!this.isWanted) courier.goOffline();
    // What goes wrong for all is told once.
    courier.engine.emitter.on("error", (error) => this.core.phase() === LIVE && this.report(error));
    return this.couriers.employ(courier, () => this.engine.tellLater());
  }

  /** Mutations without an answer, those of tabs that are gone among them. */
  private get pending(): number {
    let sum = this.engine.pending;
    this.couriers.each(({ engine }) => (sum += engine.pending));
    return sum;
  }

  /** Connects where the app wants a connection, and something can be said. */
  connect(): void {
    if (this.isIntroduced && this.isWanted && !this.isClosed && this.home.isThere) this.socket?.start(this);
  }

  /** The page goes: what is made from now on is written at once. */
  private hurry(): void {
    this.engine.isHurried = true;
    this.work();
  }

  /** The page is frozen, or kept for a return: others deliver what it leaves. */
  private sleep(): void {
    this.hurry();
    // Also while it closes: its place would stay with the frozen page.
    if (!this.home.canSleep) return;
    this.naps += 1;
    this.hangUp();
    this.siblings?.close();
    this.home.sleep();
  }

  private wake(): void {
    this.engine.isHurried = false;
    void this.home.wake();
  }

  // What the app asks.

  get current() {
    if (!this.isClosed) this.status.take(this.lookAround());
    return this.status.current;
  }

  whenReady(): Promise<void> {
    return this.isReady ? Promise.resolve() : this.ready.wait();
  }

  whenSettled(): Promise<void> {
    return !this.isClosed && this.pending === 0 ? Promise.resolve() : this.settled.wait();
  }

  goOffline(): void {
    if (!this.socket || this.isClosed) return;
    this.couriers.each((courier) => courier.goOffline());
    this.isWanted = false;
    this.hangUp();
    this.isHopeful = false;
    this.engine.tellLater();
  }

  hangUp(): void {
    const wasOpen = this.socket?.isOpen;
    this.socket?.stop();
    if (wasOpen) this.disconnected(1000);
  }

  goOnline(): void {
    if (!this.socket || this.isClosed) return;
    this.couriers.each((courier) => courier.goOnline());
    this.isWanted = true;
    this.isHopeful = true;
    this.connect();
    this.socket?.hurry();
    this.engine.tellLater();
  }

  /** Resolves when all that is due is written, for whoever asks. */
  close(): Promise<void> {
    return (this.closing ??= this.shut());
  }

  private async shut(): Promise<void> {
    this.engine.close();
    this.presence.close();
    this.socket?.dispose();
    this.cancelTick();
    this.cancelSend();
    // Whoever closes may be about to go.
    this.home.journal.rescue();
    this.isClosed = true;
    this.status.take(this.lookAround());
    queueMicrotask(() => this.engine.emitter.emit("status", this.status.current));
    this.ready.close();
    this.settled.close();
    await Promise.all([this.home.close(), ...this.couriers.each((courier) => courier.close())]);
    this.stopWatching();
    this.siblings?.close();
  }

  /** Closes without a word to the relay or the disk of what is pending. */
  private discard(): Promise<void> {
    this.home.discard();
    this.couriers.each((courier) => courier.home.discard());
    return this.close();
  }

  async erase(): Promise<void> {
    await this.discard();
    await this.eraseCopy();
  }

  // What the engine asks of its surroundings.

  /** One round of everything that waits. */
  work(): void {
    if (this.isClosed) return;
    this.engine.flushed();
    this.engine.drain();
    if (this.engine.isHurried) this.home.journal.rescue();
    this.home.journal.flush();
    this.goOut();
  }

  /** What may leave now leaves. */
  private goOut(): void {
    this.sendFrames();
    this.siblings?.tell();
    this.tickLater();
  }

  private hear(note: Uint8Array): void {
    if (this.isClosed) return;
    this.engine.flushed();
    this.core.heard(note);
    this.work();
    // What is pending of theirs may be another without any change of the view.
    this.status.tell(this.lookAround());
    this.engine.emitter.emit("status", this.status.current);
  }

  heard(event: CoreEvent): void {
    switch (event[0]) {
      case "welcome":
        this.home.journal.welcomed();
        break;
      case "turned":
        // Each try that brings a page comes nearer, so the next need not wait.
        if (this.lastCloseCode !== BAD_REQUEST) this.socket?.settle();
        break;
      case "live":
        // Where the relay could not read what is pending, only an answer to that is a good sign.
        if (this.lastCloseCode !== BAD_REQUEST || this.pending === 0) this.allIsWell();
        this.isReady = true;
        this.ready.come();
        break;
      case "settled":
      case "refused":
        this.allIsWell();
        this.home.journal.settled();
        break;
      case "renumbered": {
        const spare = randomBytes(16);
        this.core.setSpare(spare);
        this.home.journal.startAnew(spare);
        break;
      }
      case "stopped":
        if (event[1] === "superseded") void this.home.moveOut();
        else this.engine.trouble(event[1], messageOf(event[1]));
        break;
      case "unseen":
        this.home.journal.unseen();
        break;
      case "error":
        this.engine.trouble(event[1], messageOf(event[1]));
        break;
      case "mismatch":
        this.engine.trouble("options-mismatch", `the pool "${event[1].slice(1)}" was first opened with other options`);
        break;
      case "presence":
        this.presence.heard(event);
        break;
      case "overtaken":
      case "reset":
      case "expired":
      case "pool":
        break;
    }
  }

  /** The next failure is a new one. */
  private allIsWell(): void {
    this.socket?.settle();
    this.lastCloseCode = 0;
    this.lastFailure = "";
  }

  look(): void {
    if (this.isClosed) return;
    if (this.pending === 0) this.settled.come();
    if (this.status.tell(this.lookAround())) this.engine.emitter.emit("status", this.status.current);
  }

  private lookAround() {
    const { core } = this;
    return {
      connection: connectionOf(this.isClosed, core.phase(), this.isTrying),
      pending: this.pending,
      seq: core.seq(),
      head: core.head(),
      storage: this.home.kind,
      offlineUntil: offlineUntil(this.home.journal.outbox.contact, core),
    };
  }

  /** Whether a connection is as good as there, or will be tried for as soon as the disk knows of this replica. */
  private get isTrying(): boolean {
    const { socket } = this;
    if (!socket || !this.isHopeful) return false;
    return socket.isOpen || socket.isConnecting || (this.isWanted && !this.isIntroduced);
  }

  // What the socket tells.

  opened(): void {
    this.engine.flushed();
    this.core.connected(now());
    this.sendFrames();
    this.tickLater();
    this.engine.tellLater();
  }

  frame(bytes: Uint8Array): void {
    const { core } = this;
    this.engine.flushed();
    const from = core.seq();
    const phase = core.phase();
    const error = core.received(bytes, now());
    if (phase < CATCHING_UP) this.home.journal.outbox.contact = now();
    this.engine.drain();
    // Who takes another id over a frame has taken the frame.
    if (error === 0 || core.phase() < GREETING) this.home.journal.frame(bytes, from, phase);
    this.home.journal.flush();
    if (error !== 0) this.socket?.restart();
    this.goOut();
  }

  pong(text: string): void {
    const error = this.core.pong(text, now());
    if (error !== 0) this.socket?.restart();
    else this.work();
  }

  patience(): number {
    return this.core.patience();
  }

  closed(code: number, reason: string): void {
    this.isHopeful = false;
    this.disconnected(code);
    const isNews = code !== this.lastCloseCode;
    this.lastCloseCode = code;
    if (this.core.phase() === STOPPED) this.socket?.stop();
    else if (isNews && code in CLOSE_CODES) {
      const known = isKnown(reason) ? reason : (CLOSE_CODES[code] as string);
      this.engine.trouble(known, messageOf(known));
    }
  }

  private disconnected(code: number): void {
    this.engine.flushed();
    this.core.closed(code);
    this.presence.disconnected();
    this.engine.drain();
    this.tickLater();
  }

  /** No token could be had. */
  targetFailed(error: unknown): void {
    const known = error instanceof NeapError ? error : new NeapError("token-failed", String(error), { cause: error });
    const isNews = this.lastFailure !== known.message;
    this.lastFailure = known.message;
    this.isHopeful = false;
    if (isNews) this.engine.trouble(known.code, known.message, known.cause);
    // Another token of the same function will not do either.
    if (known.code === "user-mismatch") this.hangUp();
    this.engine.tellLater();
  }

  // What the disk tells.

  stored(turn: number | undefined): void {
    if (turn !== undefined) {
      this.core.durable(turn);
      this.engine.turns.durable(turn);
    }
    this.goOut();
  }

  goOn(isAnother: boolean): void {
    // What was on the disk of tabs that are gone nobody tells of here any more; the others tell of theirs anew.
    if (this.home.kind === "memory") this.core.keepSiblings(new Uint8Array());
    this.engine.drain();
    if (this.isClosed) return;
    if (isAnother) this.socket?.restart();
    this.siblings?.meet();
    this.connect();
    // It was told to sleep meanwhile.
    if (this.engine.isHurried) this.sleep();
    this.engine.workLater();
  }

  askAgain(): void {
    this.socket?.restart();
  }

  report(error: NeapError): void {
    this.engine.report(error);
  }

  private sendFrames(): void {
    if (!this.socket?.isOpen) return;
    while (this.socket.hasRoom) {
      const frame = this.core.frame();
      if (!frame) return;
      this.socket.send(frame);
    }
    // Nobody tells when the buffer has emptied.
    this.cancelSend();
    this.cancelSend = after(SEND_AGAIN_MS, () => this.sendFrames());
  }

  private tickLater(): void {
    const deadline = this.core.deadline();
    if (deadline === this.tickAt) return;
    this.cancelTick();
    this.tickAt = deadline;
    if (deadline < 0) return;
    // A clock that is set back is seen soon.
    this.cancelTick = after(Math.min(deadline - now(), TICK_MAX_MS), () => {
      this.tickAt = -1;
      if (this.core.tick(now()) !== 0) this.socket?.restart();
      this.work();
    });
  }
}

const BAD_REQUEST = 4400;

/** Close codes of the relay after which another try makes sense, but the app should know; what is said without a reason. */
const CLOSE_CODES: Record<number, string> = {
  [BAD_REQUEST]: "bad-request",
  4401: "unauthorized",
  4404: "not-found",
  4408: "too-slow",
  4429: "rate-limited",
};
