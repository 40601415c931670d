// How a datastore stands: one object until something changes.

import type { Status } from "./api.js";

/** Keeps the newest status, and says whether another one differs. */
export class StatusKeeper {
  current: Status;

  constructor(first: Status) {
    this.current = Object.freeze(first);
  }

  /** Takes a status; whether it is another one than before. */
  take(next: Status): boolean {
    const { current } = this;
    const same =
      current.connection === next.connection &&
      current.pending === next.pending &&
      current.seq === next.seq &&
      current.head === next.head &&
      current.storage === next.storage &&
      current.offlineUntil?.getTime() === next.offlineUntil?.getTime();
    if (!same) this.current = Object.freeze(next);
    return !same;
  }
}
