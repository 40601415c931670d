// Listeners of a datastore's events.

import type { Events } from "./api.js";
import { NeapError } from "./errors.js";
import { checkFunction, reportUncaught } from "./trouble.js";

/** A box of its own for each subscription, so that one function can be subscribed twice. */
interface Own {
  readonly listener: (detail: never) => void;
}

export class Emitter {
  private readonly owns: Readonly<Record<keyof Events, Set<Own>>> = {
    status: new Set(),
    refused: new Set(),
    reset: new Set(),
    expired: new Set(),
    error: new Set(),
  };

  on<E extends keyof Events>(event: E, listener: (detail: Events[E]) => void): () => void {
    checkFunction(listener);
    const owns = this.of(event);
    const own = { listener };
    owns.add(own);
    return () => void owns.delete(own);
  }

  off<E extends keyof Events>(event: E, listener: (detail: Events[E]) => void): void {
    const owns = this.of(event);
    for (const own of owns) if (own.listener === listener) owns.delete(own);
  }

  /** An event that does not exist would never be heard of. */
  private of(event: keyof Events): Set<Own> {
    if (!Object.hasOwn(this.owns, event)) throw new NeapError("invalid-options", `there is no event "${String(event)}"`);
    return this.owns[event];
  }

  /** Calls every listener, whatever the others throw. */
  emit<E extends keyof Events>(event: E, detail: Events[E]): void {
    const owns = this.owns[event];
    if (owns.size === 0) {
      // An error that nobody listens for must not go unseen.
      if (event === "error") console.warn("neap:", detail);
      return;
    }
    for (const own of [...owns]) {
      if (!owns.has(own)) continue;
      try {
        (own.listener as (detail: Events[E]) => void)(detail);
      } catch (error) {
        reportUncaught(error);
      }
    }
  }
}
