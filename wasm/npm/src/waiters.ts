// Who waits for something to come, and hears of it once it has.

import type { NeapError } from "./errors.js";
import { closedError } from "./trouble.js";

export class Waiters {
  private isClosed = false;
  private waiting: { resolve(): void; reject(error: NeapError): void }[] = [];

  wait(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.isClosed) reject(closedError());
      else this.waiting.push({ resolve, reject });
    });
  }

  /** It is there. Whoever waits from now on waits for the next time. */
  come(): void {
    for (const waiter of this.waiting.splice(0)) waiter.resolve();
  }

  /** It will never come. */
  close(): void {
    this.isClosed = true;
    for (const waiter of this.waiting.splice(0)) waiter.reject(closedError());
  }
}
