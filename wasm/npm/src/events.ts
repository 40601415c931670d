// Listeners of a datastore's events.

import type { Events } from "./api.js";
import { checkListener, reportUncaught } from "./trouble.js";

type Listener = (detail: never) => void;

export class Emitter {
  private readonly listeners = new Map<keyof Events, Set<Listener>>();

  on<E extends keyof Events>(event: E, listener: (detail: Events[E]) => void): () => void {
    checkListener(listener);
    let of = this.listeners.get(event);
    if (!of) this.listeners.set(event, (of = new Set()));
    of.add(listener);
    return () => this.off(event, listener);
  }

  off<E extends keyof Events>(event: E, listener: (detail: Events[E]) => void): void {
    this.listeners.get(event)?.delete(listener);
  }

  /** Calls every listener, whatever the others throw. */
  emit<E extends keyof Events>(event: E, detail: Events[E]): void {
    const of = this.listeners.get(event);
    if (!of?.size) {
      // An error that nobody listens for must not go unseen.
      if (event === "error") console.warn("neap:", detail);
      return;
    }
    for (const listener of [...of]) {
      try {
        (listener as (detail: Events[E]) => void)(detail);
      } catch (error) {
        reportUncaught(error);
      }
    }
  }
}
