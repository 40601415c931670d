// Notes between the tabs of one person, in the core's own bytes.

import type { Core } from "./core.js";

const HERE = "here";

/** Carries a core's notes to its siblings, and theirs to `hear`. */
export class Siblings {
  private readonly channel: BroadcastChannel;

  constructor(
    private readonly core: Core,
    name: string,
    hear: (note: Uint8Array) => void,
    /** There may be another sibling. */
    meet: () => void,
  ) {
    this.channel = new BroadcastChannel(name);
    // The first note asks what is pending.
    core.meetSiblings();
    this.channel.onmessage = ({ data }) => (data === HERE ? meet() : hear(data as Uint8Array));
    this.channel.postMessage(HERE);
    meet();
  }

  /** Posts what the core has to tell. */
  tell(): void {
    for (let note = this.core.note(); note; note = this.core.note()) this.channel.postMessage(note);
  }

  close(): void {
    this.channel.close();
  }
}
