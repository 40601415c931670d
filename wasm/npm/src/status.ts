// How a datastore stands: one object until something changes.

import type { Status } from "./api.js";

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
