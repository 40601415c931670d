// The connection to the relay: one WebSocket after the other, for as long as somebody wants one.

import type { WebSocketClass, WebSocketLike } from "./api.js";
import { after, now, soon, type Cancel } from "./clock.js";
import { jitter } from "./dice.js";
import { NeapError } from "./errors.js";
import { CONNECT_MS, OFFLINE_PONG_MS, PAUSE_MS, PING_MS, RENEW_MIN_MS, RETRY_CAP_MS, RETRY_MS, SEND_BUFFER_BYTES } from "./limits.js";

const PROTOCOL = "neap.v1";
const PING = "ping";

/** Where to connect to, and as whom. */
export interface Target {
  readonly url: string;
  readonly token: string | undefined;
  /** When another token is needed, in milliseconds since 1970, where there will be one. */
  readonly end: number | undefined;
}

/** What a socket tells. */
export interface SocketListener {
  /** A connection stands. */
  opened(): void;
  frame(bytes: Uint8Array): void;
  /** The answer to a ping. */
  pong(text: string): void;
  /** The connection, or the try to get one, is over; with the close code. */
  closed(code: number, reason: string): void;
  /** How long an answer may take, in milliseconds. */
  patience(): number;
  /** Nothing can be done until the next try: the target could not be told. */
  targetFailed(error: unknown): void;
}

/** Closed by us, for good reason or since it is dead. */
const GOING = 1000;
const DEAD = 4000;
/** What a browser says of a connection that broke. */
const BROKEN = 1006;

/** The relay has enough. */
const TOO_MUCH = 4429;

type Stage = "off" | "waiting" | "pausing" | "connecting" | "open";

export class Socket {
  private stage: Stage = "off";
  private socket: WebSocketLike | undefined = undefined;
  private retries = 0;
  /** Counts the tries: what comes of one that another has overtaken counts for nothing. */
  private tries = 0;
  private cancelRetry: Cancel = () => {};
  private cancelPing: Cancel = () => {};
  private cancelPong: Cancel = () => {};
  private cancelRenew: Cancel = () => {};
  /** When something must have come. */
  private pongDue = Infinity;
  private readonly ends: (() => void)[] = [];
  private listener: SocketListener | undefined = undefined;
  /** What it would have been told. */
  private missed: ((listener: SocketListener) => void) | undefined = undefined;

  constructor(
    private readonly target: () => Promise<Target>,
    private readonly WebSocket: WebSocketClass,
  ) {
    // A page that comes back asks at once, instead of after the rest of a wait.
    this.listen("online", () => this.hurry());
    this.listen("offline", () => this.ping(OFFLINE_PONG_MS));
    this.listen("pageshow", () => this.hurry());
    this.listen("visibilitychange", () => {
      if (isVisible()) this.hurry();
      else this.cancelPing();
    }, globalThis.document);
  }

  /** Whether a connection stands. */
  get isOpen(): boolean {
    return this.stage === "open";
  }

  /** Whether one is being made. */
  get isConnecting(): boolean {
    return this.stage === "connecting";
  }

  /** Connects, and stays connected. Before somebody listens it tries once, so that the road is there when it is needed. */
  start(listener?: SocketListener): void {
    if (listener && !this.listener) {
      this.listener = listener;
      this.missed?.(listener);
    }
    if (this.stage !== "off") return;
    this.retries = 0;
    void this.connect();
  }

  private tell(what: (listener: SocketListener) => void): void {
    if (this.listener) what(this.listener);
    else this.missed = what;
  }

  /** Ends the connection, and makes no other. */
  stop(): void {
    if (this.stage === "off") return;
    this.cancelRetry();
    this.stage = "off";
    this.drop(GOING);
  }

  /** Stops for ever. */
  dispose(): void {
    this.stop();
    for (const end of this.ends) end();
  }

  /** Whether more can be sent now: what waits in the platform's buffer is lost with the connection and holds up pings. */
  get hasRoom(): boolean {
    return this.stage === "open" && (this.socket?.bufferedAmount ?? 0) < SEND_BUFFER_BYTES;
  }

  /** Sends a frame. What has not left when the connection breaks is lost; the core sends it again. */
  send(bytes: Uint8Array): void {
    if (this.stage === "open") this.socket?.send(bytes as Uint8Array<ArrayBuffer>);
  }

  /** The connection is of no use: ends it and makes another, at once unless that has just been tried. */
  restart(): void {
    if (this.stage === "open") this.lost(this.socket, DEAD);
  }

  /** The relay has answered well: the next break is a new one. */
  settle(): void {
    this.retries = 0;
  }

  private async connect(): Promise<void> {
    this.stage = "connecting";
    this.tries += 1;
    const mine = this.tries;
    // Stopped meanwhile, or overtaken by another start.
    const isOver = () => this.stage !== "connecting" || mine !== this.tries;
    let target: Target;
    try {
      target = await this.target();
    } catch (error) {
      if (!isOver()) this.fail(error);
      return;
    }
    if (isOver()) return;
    const protocols = [PROTOCOL];
    if (target.token !== undefined) protocols.push(`neap.token.${target.token}`);
    let socket: WebSocketLike;
    try {
      socket = new this.WebSocket(target.url, protocols);
    } catch (cause) {
      // As from a page of https to a relay of http.
      this.fail(new NeapError("unreachable", "this page may not connect to the relay", { cause }));
      return;
    }
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    this.cancelPong = after(CONNECT_MS, () => this.lost(socket, BROKEN));
    socket.addEventListener("open", () => this.opened(socket, target));
    socket.addEventListener("message", (event) => this.message(socket, event.data));
    socket.addEventListener("close", ({ code, reason }) => this.lost(socket, code, reason));
    // A close event follows each error, but where a content policy was against the socket.
    socket.addEventListener("error", () => soon(() => this.lost(socket, BROKEN)));
  }

  private fail(error: unknown): void {
    this.stage = "waiting";
    this.tell((listener) => {
      listener.targetFailed(error);
      this.retryUnlessStopped();
    });
  }

  /** The listener may have stopped it. */
  private retryUnlessStopped(least = 0): void {
    if (this.stage === "waiting") this.retryLater(least);
  }

  private opened(socket: WebSocketLike, target: Target): void {
    if (socket !== this.socket) return;
    this.renewLater(target);
    this.cancelPong();
    this.stage = "open";
    this.tell((listener) => {
      this.pingLater();
      listener.opened();
    });
  }

  private message(socket: WebSocketLike, data: unknown): void {
    if (socket !== this.socket) return;
    // Whatever comes shows that the connection stands. But it takes a pong to tell what did not come.
    this.answered();
    if (typeof data === "string") this.listener?.pong(data);
    else if (data instanceof ArrayBuffer) this.listener?.frame(new Uint8Array(data));
  }

  private lost(socket: WebSocketLike | undefined, code: number, reason = ""): void {
    if (socket === undefined || socket !== this.socket) return;
    this.stage = "waiting";
    this.drop(code === BROKEN ? GOING : code);
    this.tell((listener) => {
      listener.closed(code, reason);
      this.retryUnlessStopped(code === TOO_MUCH ? PAUSE_MS : 0);
    });
  }

  /** Before a token ends another one is sent: soon enough for a few tries, and not everybody's at once. */
  private renewLater(target: Target): void {
    const left = (target.end ?? 0) - now();
    if (left > 0) this.cancelRenew = after(Math.max(RENEW_MIN_MS, left * (0.6 + 0.2 * jitter())), () => void this.renew(target));
  }

  private async renew(before: Target): Promise<void> {
    const { socket } = this;
    let target = before;
    try {
      target = await this.target();
    } catch (error) {
      if (socket === this.socket) this.listener?.targetFailed(error);
    }
    // A connection that has come meanwhile has brought a token of its own.
    if (socket !== this.socket) return;
    if (target.token !== before.token) socket?.send(`token ${target.token}`);
    this.renewLater(target);
  }

  private drop(code: number): void {
    this.missed = undefined;
    this.cancelRenew();
    this.cancelPing();
    this.answered();
    const socket = this.socket;
    this.socket = undefined;
    try {
      socket?.close(code === DEAD ? DEAD : GOING);
    } catch {
      // It is closed already.
    }
  }

  private retryLater(least = 0): void {
    this.stage = least > 0 ? "pausing" : "waiting";
    const most = Math.min(RETRY_CAP_MS, RETRY_MS * 2 ** this.retries);
    this.retries += 1;
    this.cancelRetry();
    this.cancelRetry = after(least + jitter() * most, () => void this.connect(), "holds");
  }

  /** Something has changed in the world: asks whether the connection stands, or tries for one at once. */
  hurry(): void {
    if (this.stage === "waiting") {
      this.cancelRetry();
      void this.connect();
    } else if (this.stage === "open") this.ping();
  }

  private pingLater(): void {
    this.cancelPing();
    if (isVisible()) this.cancelPing = after(PING_MS, () => this.ping());
  }

  private ping(patience = this.listener?.patience()): void {
    if (this.stage !== "open" || patience === undefined) return;
    this.pingLater();
    // An answer that is due sooner stays due, or one that is late for the next question would never be missed.
    const due = now() + patience;
    if (due >= this.pongDue) return;
    this.cancelPong();
    this.pongDue = due;
    const socket = this.socket;
    socket?.send(PING);
    this.cancelPong = after(patience, () => this.lost(socket, DEAD));
  }

  private answered(): void {
    this.pongDue = Infinity;
    this.cancelPong();
  }

  private listen(type: string, listener: () => void, on: EventTarget | undefined = globalThis.window): void {
    if (!on) return;
    on.addEventListener(type, listener);
    this.ends.push(() => on.removeEventListener(type, listener));
  }
}

const isVisible = (): boolean => globalThis.document === undefined || document.visibilityState !== "hidden";
