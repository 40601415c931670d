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

/** As many are on screen together, which leaves room for the board; the others follow as these are dismissed. */
const SHOWN = 1;
/** Older notices make room beyond this many. */
const KEPT = 100;

/** What there is to say, oldest first. */
export class Notices {
  #all: readonly Notice[] = [];
  #next = 1;
  readonly #changed: () => void;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  get shown(): readonly Notice[] {
    return this.#all.slice(0, SHOWN);
  }

  /** How many wait behind those on screen. */
  get more(): number {
    return this.#all.length - this.shown.length;
  }

  say(text: string, remedy?: Remedy): void {
    const notice: Notice = { key: this.#next++, text, ...(remedy && { remedy }) };
    this.#all = [...this.#all, notice].slice(-KEPT);
    this.#changed();
  }

  dismiss(key: number): void {
    this.#all = this.#all.filter((notice) => notice.key !== key);
    this.#changed();
  }
}
