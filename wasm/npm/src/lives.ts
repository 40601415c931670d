// Lives of the datastore, which a relay can begin anew. Nothing but the relay's word tells which one comes after which.

/** What a replica knows of their order. */
export class Lives {
  /** Those that are over. */
  readonly over = new Set<string>();
  /** One that another tab has stored: it is over, or still to come here. */
  private strange: string | undefined = undefined;

  constructor(private present: string | undefined) {}

  /** Another tab has stored this one. Tells whether the relay has to be asked about it. */
  found(epoch: string | undefined): boolean {
    this.strange = epoch === this.present || this.over.has(epoch as string) ? undefined : epoch;
    return this.strange !== undefined;
  }

  /** The relay, asked anew, is in this one. Tells whether that answers what was asked, and no other life is met. */
  met(epoch: string | undefined): boolean {
    const isAnswer = this.strange !== undefined && epoch === this.present;
    for (const one of [this.present, this.strange]) if (one !== undefined) this.over.add(one);
    this.over.delete(epoch as string);
    [this.present, this.strange] = [epoch, undefined];
    return isAnswer;
  }
}
