// No storage at all: the page's memory is the only copy.

import { newIdentity } from "./rows.js";
import type { Confirmed, Storage, Stored, Verdict } from "./storage.js";

export class MemoryStorage implements Storage {
  readonly kind = "memory";
  onLost: (reason: Error) => void = () => {};

  async load(): Promise<Stored> {
    return { replica: newIdentity(), blocks: [], ...(await this.reload()) };
  }

  reload(): Promise<Confirmed> {
    return Promise.resolve({ pages: [], steps: [], logBytes: 0 });
  }

  write(): Promise<Verdict> {
    return Promise.resolve("stored");
  }

  watch(): Promise<void> {
    return Promise.resolve();
  }

  sleep(): void {}

  wake(): Promise<boolean> {
    return Promise.resolve(true);
  }

  forsake(): void {}

  moveOut(): Promise<Storage> {
    return Promise.resolve(new MemoryStorage());
  }

  discard(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
