// Datastores that components have open, one for each content of options.

import type { Datastore, OpenOptions } from "../api.js";
import { soon } from "../clock.js";
import { open } from "../index.js";

/** Why a datastore could not be opened. */
export class Failure {
  constructor(readonly error: unknown) {}
}

/** What a component sees: `undefined` until the datastore can be read. */
type State = Datastore | Failure | undefined;

/**
 * A text that is equal for options of equal content. `own` names the component: without an id no two of them
 * mean the same datastore.
 */
export function contentOf(options: OpenOptions, own: number): string {
  const members = Object.entries(options).filter(([, value]) => value !== undefined);
  const plain = members.map(([name, value]) => [name, typeof value === "function" ? "function" : value]);
  return JSON.stringify([options.id === undefined ? own : 0, ...plain.sort(([one], [other]) => (String(one) < String(other) ? -1 : 1))]);
}

export class Openings {
  private readonly byContent = new Map<string, Opening>();

  stateOf(content: string): State {
    return this.byContent.get(content)?.state;
  }

  /** Has a datastore open until what this returns is called. */
  use(content: string, options: OpenOptions, listener: () => void): () => void {
    let opening = this.byContent.get(content);
    if (opening?.isLeftBehind) {
      opening.end();
      opening = undefined;
    }
    if (!opening) {
      opening = new Opening(options, () => this.byContent.delete(content));
      this.byContent.set(content, opening);
    }
    return opening.use(listener);
  }

  /** Of functions those in `options` are used from now on. */
  renew(content: string, options: OpenOptions): void {
    this.byContent.get(content)?.renew(options);
  }
}

class Opening {
  state: State = undefined;
  private readonly listeners = new Set<() => void>();
  private hasEnded = false;
  /** The datastore is gone at the relay. */
  private hasExpired = false;

  constructor(
    private options: OpenOptions,
    private readonly ended: () => void,
  ) {
    const { token } = options;
    open(typeof token === "function" ? { ...options, token: () => this.token() } : options).then(
      (ds) => {
        if (this.hasEnded) return void ds.close();
        ds.on("expired", () => (this.hasExpired = true));
        this.become(ds);
      },
      (error: unknown) => this.become(new Failure(error)),
    );
  }

  renew(options: OpenOptions): void {
    this.options = options;
  }

  /** Nobody uses it, and who comes now wants another: it has expired, or was closed or forgotten. */
  get isLeftBehind(): boolean {
    return this.listeners.size === 0 && (this.hasExpired || this.datastore?.status.connection === "closed");
  }

  private get datastore(): Datastore | undefined {
    return this.state instanceof Failure ? undefined : this.state;
  }

  use(listener: () => void): () => void {
    // A wrapper of its own, so that each user counts.
    const own = (): void => listener();
    this.listeners.add(own);
    return () => {
      this.listeners.delete(own);
      // Not at once: StrictMode and a component that moves subscribe again in the same breath.
      if (this.listeners.size === 0) soon(() => this.listeners.size > 0 || this.end());
    };
  }

  private token(): string | Promise<string> {
    const { token } = this.options;
    return typeof token === "function" ? token() : (token ?? "");
  }

  private become(state: State): void {
    this.state = state;
    for (const listener of [...this.listeners]) listener();
  }

  end(): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.ended();
    void this.datastore?.close();
  }
}
