// A datastore as the app holds it.

import type { Collection, Datastore, Events, Kind, Mutation, Pool, PoolOptions, Presence, Status, Transaction } from "./api.js";
import type { Driver } from "./driver.js";
import { closedError } from "./trouble.js";

export class LiveDatastore implements Datastore {
  private readyPromise: Promise<void> | undefined = undefined;
  private ending: Promise<void> | undefined = undefined;

  constructor(
    readonly id: string,
    private readonly driver: Driver,
  ) {}

  get kind(): Kind {
    return this.driver.core.kind() as Kind;
  }

  get primary(): string {
    return this.driver.engine.primary;
  }

  get expiresAt(): Date | null {
    const at = this.driver.core.expiresAt();
    return at < 0 ? null : new Date(at);
  }

  get epoch(): string | null {
    return this.driver.core.epoch() ?? null;
  }

  get seq(): number {
    return this.driver.core.seq();
  }

  get digest(): string {
    return this.driver.core.digest();
  }

  get status(): Status {
    return this.driver.current;
  }

  get ready(): Promise<void> {
    if (!this.readyPromise) {
      this.readyPromise = this.driver.whenReady();
      // Who only looks at it need not handle its end.
      this.readyPromise.catch(() => {});
    }
    return this.readyPromise;
  }

  settled(): Promise<void> {
    return this.driver.whenSettled();
  }

  collection<T extends object = Record<string, unknown>>(name: string): Collection<T> {
    return this.driver.engine.collection<T>(name);
  }

  pool<T = unknown>(name: string, options?: PoolOptions): Pool<T> {
    return this.driver.engine.pool<T>(name, options);
  }

  transact(fn: (transaction: Transaction) => void): Mutation {
    return this.driver.engine.transact(fn);
  }

  get presence(): Presence {
    return this.driver.presence;
  }

  undo(): Mutation | null {
    return this.driver.engine.undo();
  }

  redo(): Mutation | null {
    return this.driver.engine.redo();
  }

  get canUndo(): boolean {
    return this.driver.engine.history.canUndo;
  }

  get canRedo(): boolean {
    return this.driver.engine.history.canRedo;
  }

  goOffline(): void {
    this.checkOpen();
    this.driver.goOffline();
  }

  goOnline(): void {
    this.checkOpen();
    this.driver.goOnline();
  }

  on<E extends keyof Events>(event: E, listener: (detail: Events[E]) => void): () => void {
    return this.driver.engine.emitter.on(event, listener);
  }

  off<E extends keyof Events>(event: E, listener: (detail: Events[E]) => void): void {
    this.driver.engine.emitter.off(event, listener);
  }

  close(): Promise<void> {
    return (this.ending ??= this.driver.close());
  }

  async forget(): Promise<void> {
    const before = this.ending;
    this.ending = this.driver.erase();
    await before;
    await this.ending;
  }

  private checkOpen(): void {
    if (this.ending) throw closedError();
  }
}
