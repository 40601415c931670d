// No storage at all: the page's memory is the only copy.

import { randomBytes } from "../dice.js";
import type { Storage, Stored, Verdict } from "./storage.js";

export class MemoryStorage implements Storage {
  readonly kind = "memory";
  onLost: (reason: Error) => void = () => {};

  load(): Promise<Stored> {
    const replica = { id: randomBytes(16), spare: randomBytes(16), account: undefined, contact: undefined };
    return Promise.resolve({
      replica,
      known: undefined,
      stamp: undefined,
      pages: [],
      frames: [],
      blocks: [],
      logBytes: 0,
    });
  }

  write(): Promise<Verdict> {
    return Promise.resolve("stored");
  }

  watch(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  erase(): Promise<void> {
    return Promise.resolve();
  }
}
