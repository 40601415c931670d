/** Something that one may do about a notice. */
export interface Remedy {
  label: string;
  run: () => void;
}

/** A sentence for the person in front of the screen, shown until dismissed. */
export interface Notice {
  key: number;
  text: string;
  remedy?: Remedy;
}

/** Older notices make room beyond this many. */
const KEPT = 4;

/** The notices on screen, oldest first. */
export class Notices {
  #shown: readonly Notice[] = [];
  #next = 1;
  readonly #changed: () => void;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  get shown(): readonly Notice[] {
    return this.#shown;
  }

  say(text: string, remedy?: Remedy): void {
    const notice: Notice = { key: this.#next++, text, ...(remedy && { remedy }) };
    this.#shown = [...this.#shown, notice].slice(-KEPT);
    this.#changed();
  }

  dismiss(key: number): void {
    this.#shown = this.#shown.filter((notice) => notice.key !== key);
    this.#changed();
  }
}
