// Notes between the tabs of one person, in the core's own bytes.

import type { Core } from "./core.js";

/** Carries a core's notes to its siblings: the replicas over the same stored copy. */
export class Siblings {
  private channel: BroadcastChannel | undefined = undefined;

  constructor(
    private readonly core: Core,
    private readonly name: string,
    /** Takes a sibling's note. */
    private readonly hear: (note: Uint8Array) => void,
  ) {
    this.wake();
  }

  /** Listens, and asks what is pending: notes may have been missed. */
  wake(): void {
    if (this.channel || !("BroadcastChannel" in globalThis)) return;
    this.channel = new BroadcastChannel(this.name);
    this.channel.onmessage = ({ data }) => this.hear(data as Uint8Array);
    this.core.meetSiblings();
    this.tell();
  }

  /** Posts what the core has to tell. */
  tell(): void {
    if (!this.channel) return;
    for (let note = this.core.note(); note; note = this.core.note()) this.channel.postMessage(note);
  }

  /** A page that may be frozen listens to nobody. */
  sleep(): void {
    this.channel?.close();
    this.channel = undefined;
  }
}
