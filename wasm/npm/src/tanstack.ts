// The entry `neap/tanstack`: a collection as one of TanStack DB.

import type { CollectionConfig, SyncConfig } from "@tanstack/db";
import type { Collection, Mutation, Patch } from "./api.js";
import { NeapError } from "./index.js";
import { mergePatch } from "./tanstack/patch.js";

/** One write of a TanStack transaction, as much of it as is used. */
interface Write {
  readonly key: unknown;
  readonly original: object;
  readonly modified: object;
}

type Handled = { transaction: { mutations: readonly Write[] } };

/**
 * Options for TanStack DB's `createCollection`. It is ready at once, from the local replica. Its transactions stay
 * open until the relay has answered, also while there is no network; one that the relay refuses is rolled back and
 * rejects with a `NeapError` that has the refusal's code. The writes of one handler call are one mutation: all or nothing.
 *
 * An insert is refused where somebody else has made the record first. An update sends what has changed, so that
 * edits of different fields by different people both stay.
 */
export function neapCollectionOptions<T extends object>(
  collection: Collection<T>,
): CollectionConfig<T, string> {
  return {
    getKey: (record) => (record as Record<string, unknown>)[collection.primary] as string,
    sync: { rowUpdateMode: "full", sync: (sink) => feed(collection, sink) },
    onInsert: ({ transaction }: Handled) =>
      settle(
        collection.transact((tx) => {
          for (const { modified } of transaction.mutations) tx.set(modified as T, { ifAbsent: true });
        }),
      ),
    onUpdate: ({ transaction }: Handled) =>
      settle(
        collection.transact((tx) => {
          for (const { key, original, modified } of transaction.mutations) {
            const patch = mergePatch(original, modified);
            if (patch) tx.patch(key as string, patch as Patch<T>);
            else tx.set(modified as T, { ifPresent: true });
          }
        }),
      ),
    onDelete: ({ transaction }: Handled) =>
      settle(
        collection.transact((tx) => {
          for (const { key } of transaction.mutations) tx.delete(key as string);
        }),
      ),
  };
}

type Sink<T extends object> = Parameters<SyncConfig<T, string>["sync"]>[0];

/** Gives TanStack the view and each change of it. Returns what ends that. */
function feed<T extends object>(collection: Collection<T>, { begin, write, commit, markReady }: Sink<T>): () => void {
  const known = new Set<string>();
  const put = (key: string, value: T): void => {
    write({ type: known.has(key) ? "update" : "insert", value });
    known.add(key);
  };
  // What is told may already be in what was read first, so the keys decide what a change is.
  const end = collection.subscribe(({ changes }) => {
    begin();
    for (const { key, after } of changes) {
      if (after) put(key, after);
      else if (known.delete(key)) write({ type: "delete", key });
    }
    commit();
  });
  begin();
  for (const [key, record] of collection) put(key, record);
  commit();
  markReady();
  return end;
}

/** The view's change is told before this goes on, so TanStack has the rows when it drops its own optimistic ones. */
async function settle(mutation: Mutation): Promise<void> {
  const outcome = await mutation.settled;
  if (outcome.status === "refused") throw new NeapError(outcome.code, outcome.message);
}
