// How a datastore stands: one object until something changes.

import type { Connection, Status } from "./api.js";
import { CATCHING_UP, LIVE, STOPPED, type Core } from "./core.js";
import { LEDGER_MS } from "./limits.js";

/** Keeps the newest status, and knows of which one the app was told. */
export class StatusKeeper {
  current: Status;
  private told: Status;

  constructor(first: Status) {
    this.current = this.told = Object.freeze(first);
  }

  take(next: Status): void {
    const { current } = this;
    const same =
      current.connection === next.connection &&
      current.pending === next.pending &&
      current.seq === next.seq &&
      current.head === next.head &&
      current.storage === next.storage &&
      current.offlineUntil?.getTime() === next.offlineUntil?.getTime();
    if (!same) this.current = Object.freeze(next);
  }

  /** Takes a status to tell the app; whether it has not been told of it: to have looked at it does not count. */
  tell(next: Status): boolean {
    this.take(next);
    const isNews = this.told !== this.current;
    this.told = this.current;
    return isNews;
  }
}

/** How the connection stands, in the app's words; `phase` is the core's. */
export function connectionOf(isClosed: boolean, phase: number, isTrying: boolean): Connection {
  if (isClosed) return "closed";
  if (phase === LIVE) return "live";
  if (phase === CATCHING_UP) return "catching-up";
  return isTrying && phase !== STOPPED ? "connecting" : "offline";
}

/** Until when what is pending can wait; `contact` is when the relay was heard last. */
export function offlineUntil(contact: number | undefined, core: Core): Date | null {
  if (contact === undefined) return null;
  const expiresAt = core.expiresAt();
  return new Date(expiresAt < 0 ? contact + LEDGER_MS : expiresAt);
}
