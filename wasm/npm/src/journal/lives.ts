// Lives of the datastore, which a relay can begin anew. Nothing but the relay's word tells which one comes after which.

/** What a replica knows of their order. */
export class Lives {
  /** Those that are over. */
  readonly over = new Set<string>();
  /** One that another tab has stored: it is over, or still to come here. */
  private strange: string | undefined = undefined;

  constructor(private present: string | undefined) {}

  /** Whether the relay has to be asked about one that was found. */
  get isInDoubt(): boolean {
    return this.strange !== undefined;
  }

  /** Another tab has stored this one. */
  found(epoch: string | undefined): void {
    this.strange = epoch === this.present || this.over.has(epoch as string) ? undefined : epoch;
  }

  /** The relay, asked anew, is in this one. Tells whether that answers what was asked, and no other life is met. */
  met(epoch: string | undefined): boolean {
    const isAnswer = this.isInDoubt && epoch === this.present;
    for (const one of [this.present, this.strange]) if (one !== undefined) this.over.add(one);
    this.over.delete(epoch as string);
    [this.present, this.strange] = [epoch, undefined];
    return isAnswer;
  }
}
