// What the others show, and what is shown to them, while the connection stands.

import type { Presence } from "./api.js";
import { after, stopwatch, type Cancel } from "./clock.js";
import type { CorePresence } from "./core.js";
import type { Engine } from "./engine.js";
import { NeapError } from "./errors.js";
import { utf8Length } from "./key.js";
import { PRESENCE_BYTES_MAX, PRESENCE_MS } from "./limits.js";
import { copyItem, freeze } from "./record.js";
import { checkFunction, reportUncaught } from "./trouble.js";

export class LivePresence implements Presence {
  self: unknown = undefined;
  others: Map<string, unknown> = new Map();
  private readonly listeners = new Set<(others: Map<string, unknown>) => void>();
  private json = "";
  private shown = "";
  private shownAt = -PRESENCE_MS;
  private cancel: Cancel | undefined = undefined;
  private isChanged = false;

  constructor(private readonly engine: Engine) {}

  set(state: unknown): void {
    this.engine.checkOpen();
    const copy = state === null || state === undefined ? undefined : (copyItem(state) ?? undefined);
    const json = copy === undefined ? "" : JSON.stringify(copy);
    if (utf8Length(json) > PRESENCE_BYTES_MAX)
      throw new NeapError("too-large", `a state has at most ${PRESENCE_BYTES_MAX} bytes of JSON`);
    this.self = copy;
    this.json = json;
    this.cancel ??= after(this.shownAt + PRESENCE_MS - stopwatch(), () => this.show());
    this.changed();
  }

  subscribe(listener: (others: Map<string, unknown>) => void): () => void {
    checkFunction(listener);
    // A wrapper of its own, so that one function can be subscribed twice.
    const own: typeof listener = (others) => listener(others);
    this.listeners.add(own);
    return () => this.listeners.delete(own);
  }

  private show(): void {
    this.cancel = undefined;
    if (this.json === this.shown) return;
    this.shown = this.json;
    this.shownAt = stopwatch();
    this.engine.core.show(this.json);
    this.engine.workLater();
  }

  /** What the relay tells. */
  heard([, isWhole, states]: CorePresence): void {
    const others = new Map(isWhole === 1 ? undefined : this.others);
    for (const [who, state] of states) {
      if (state === null) others.delete(who);
      else others.set(who, freeze(state));
    }
    this.take(others);
  }

  /** The connection is gone, and everybody with it. */
  disconnected(): void {
    if (this.others.size > 0) this.take(new Map());
  }

  private take(others: Map<string, unknown>): void {
    this.others = others;
    this.changed();
  }

  close(): void {
    this.cancel?.();
    this.listeners.clear();
    this.self = undefined;
    this.others = new Map();
  }

  private changed(): void {
    if (this.isChanged) return;
    this.isChanged = true;
    this.engine.notifyLater(this);
  }

  notify(): void {
    this.isChanged = false;
    for (const listener of [...this.listeners]) {
      if (!this.listeners.has(listener)) continue;
      try {
        listener(this.others);
      } catch (error) {
        reportUncaught(error);
      }
    }
  }
}
