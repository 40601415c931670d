// A query as a component reads it.

import type { Collection, Query, QueryOptions } from "../api.js";

/** A query that lives while somebody is subscribed, and can be read before. */
export class QueryReader<T extends object> {
  private live: Query<T> | undefined = undefined;
  private last: readonly Readonly<T>[] | undefined = undefined;

  constructor(
    private readonly collection: Collection<T>,
    private readonly options: QueryOptions<T> | undefined,
  ) {}

  /** What the query finds; before the first subscription what it found when first asked. */
  readonly read = (): readonly Readonly<T>[] => {
    if (this.live) return (this.last = kept(this.last, this.live.value));
    if (!this.last) {
      const query = this.collection.query(this.options);
      this.last = query.value;
      query.close();
    }
    return this.last;
  };

  readonly subscribe = (listener: () => void): (() => void) => {
    const query = this.collection.query(this.options);
    this.live = query;
    const end = query.subscribe(listener);
    return () => {
      end();
      query.close();
      if (this.live === query) this.live = undefined;
    };
  };
}

/** The array that was there before, where the new one holds the same. */
function kept<T>(before: readonly T[] | undefined, now: readonly T[]): readonly T[] {
  const isSame = before !== undefined && before.length === now.length && now.every((record, at) => record === before[at]);
  return isSame ? before : now;
}
