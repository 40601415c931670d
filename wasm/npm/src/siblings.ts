// Notes between the tabs of one person, in the core's own bytes.

import type { Core } from "./core.js";

const HERE = "here";

/** Carries a core's notes to its siblings, and theirs to `hear`. */
export class Siblings {
  private channel: BroadcastChannel | undefined = undefined;

  constructor(
    private readonly core: Core,
    private readonly name: string,
    private readonly hear: (note: Uint8Array) => void,
    /** There may be another sibling. */
    private readonly lookAround: () => void,
  ) {
    this.meet();
  }

  /** Says that there is one more, or one that has slept, and asks the others what they have pending. */
  meet(): void {
    this.channel ??= this.listen();
    this.core.meetSiblings();
    this.channel.postMessage(HERE);
    this.lookAround();
  }

  private listen(): BroadcastChannel {
    const channel = new BroadcastChannel(this.name);
    channel.onmessage = ({ data }) => (data === HERE ? this.lookAround() : this.hear(data as Uint8Array));
    return channel;
  }

  /** Posts what the core has to tell. */
  tell(): void {
    if (!this.channel) return;
    for (let note = this.core.note(); note; note = this.core.note()) this.channel.postMessage(note);
  }

  /** Hears nothing more, until it meets them again: a browser throws a sleeping page away that a note comes for. */
  close(): void {
    this.channel?.close();
    this.channel = undefined;
  }
}
