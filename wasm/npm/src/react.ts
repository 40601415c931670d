// The entry `neap/react`: hooks over `useSyncExternalStore`. Rendering changes nothing outside of React;
// all that opens, listens and closes happens in subscriptions, so StrictMode and discarded renders leave nothing behind.

import { useCallback, useEffect, useMemo, useState, useSyncExternalStore } from "react";
import type { Collection, Datastore, OpenOptions, Pool, Presence, QueryOptions, Status } from "./api.js";
import { contentOf, Failure, Openings } from "./react/openings.js";
import { QueryReader } from "./react/reader.js";

const openings = new Openings();
let ownIds = 0;

const nothing = (): undefined => undefined;
const noSubscription = (): (() => void) => () => {};
const noRecords: readonly never[] = Object.freeze([]);
const noItems = noRecords as never[];
/** What is said where there is no browser, so that the first render there and here is the same. */
const serverStatus: Status = Object.freeze({
  connection: "offline",
  pending: 0,
  seq: 0,
  head: 0,
  storage: "memory",
  offlineUntil: null,
});

/**
 * Opens a datastore and closes it when the last component that uses it has gone; `undefined` until it can be read,
 * and on a server. Options are compared by content: other options close the datastore and open another one.
 * Components with the same options and an `id` share one. Without an `id` each component has a fresh datastore.
 * Another `token` function or `WebSocket` class opens nothing: the newest function is asked, the class counts when it is opened
 * next. After `expired`, `close` or `forget` a
 * component that is mounted anew, as by another `key`, opens it anew, once no other uses what is over.
 *
 * Throws into the nearest error boundary what `open` rejects with.
 */
export function useDatastore(options: OpenOptions = {}): Datastore | undefined {
  const [own] = useState(() => ++ownIds);
  const content = contentOf(options, own);
  // The content stands for the options; of two with one content the first will do.
  const subscribe = useMemo(() => (listener: () => void) => openings.use(content, options, listener), [content]);
  useEffect(() => openings.renew(content, options));
  const state = useSyncExternalStore(subscribe, () => openings.stateOf(content), nothing);
  if (state instanceof Failure) throw state.error;
  return state;
}

/**
 * The records of a collection, or those that a query finds; the same array until one of them changes. Empty on a
 * server and while there is no collection. The query is compared by content, a predicate by identity: keep it stable
 * with `useCallback`, or the query runs anew at each render.
 */
export function useRecords<T extends object>(
  collection: Collection<T> | undefined,
  query?: QueryOptions<T>,
): readonly Readonly<T>[] {
  const where = query?.where;
  const predicate = typeof where === "function" ? where : undefined;
  const content = JSON.stringify([predicate ? null : where, query?.orderBy, query?.limit], (_, value: unknown) => (typeof value === "string" ? `"${value}` : value === undefined ? "" : value));
  const reader = useMemo(
    () => collection && new QueryReader(collection, query),
    [collection, predicate, content],
  );
  return useSyncExternalStore<readonly Readonly<T>[]>(
    reader?.subscribe ?? noSubscription,
    reader?.read ?? (() => noRecords),
    () => noRecords,
  );
}

/** One record; `undefined` where there is none, on a server, and while there is no collection. */
export function useRecord<T extends object>(collection: Collection<T> | undefined, key: string): Readonly<T> | undefined {
  const subscribe = useCallback(
    (listener: () => void) =>
      collection?.subscribe(({ changes }) => {
        if (changes.some((change) => change.key === key)) listener();
      }) ?? nothing,
    [collection, key],
  );
  return useSyncExternalStore(subscribe, () => collection?.get(key), nothing);
}

/** A pool as a component sees it. */
export interface PoolView<T> {
  /** All items, frozen; the same array until something changes. */
  readonly items: T[];
  /** Whether all members hold the same. */
  readonly converged: boolean;
  /** As `add` of the pool. */
  readonly add: Pool<T>["add"];
}

/** A merge pool. Empty and not converged on a server. */
export function usePool<T>(pool: Pool<T>): PoolView<T>;
/** The same; without `add`, and empty, while there is no pool. */
export function usePool<T>(pool: Pool<T> | undefined): Omit<PoolView<T>, "add"> & Partial<PoolView<T>>;
export function usePool<T>(pool: Pool<T> | undefined): Omit<PoolView<T>, "add"> & Partial<PoolView<T>> {
  const subscribe = useCallback((listener: () => void) => pool?.subscribe(listener) ?? nothing, [pool]);
  const items = useSyncExternalStore<T[]>(subscribe, () => pool?.items() ?? noItems, () => noItems);
  const converged = useSyncExternalStore(subscribe, () => pool?.converged ?? false, () => false);
  return useMemo(
    () => (pool ? { items, converged, add: (added) => pool.add(added) } : { items, converged }),
    [pool, items, converged],
  );
}

/** How a datastore stands. On a server it says offline, with nothing pending. */
export function useStatus(ds: Datastore): Status;
/** The same; `undefined` while there is no datastore. */
export function useStatus(ds: Datastore | undefined): Status | undefined;
export function useStatus(ds: Datastore | undefined): Status | undefined {
  const subscribe = useCallback((listener: () => void) => ds?.on("status", listener) ?? nothing, [ds]);
  return useSyncExternalStore(
    subscribe,
    () => ds?.status,
    () => ds && serverStatus,
  );
}

const nobody = new Map<string, never>();

/**
 * What those who are connected show each other, and how to show something. On a server and while there is no
 * datastore nobody is there, and `set` does nothing. What was set stays when the component goes; `set(null)` ends it.
 */
export function usePresence<T = unknown>(ds: Datastore | undefined): Pick<Presence<T>, "self" | "others" | "set"> {
  const presence = ds?.presence as Presence<T> | undefined;
  const subscribe = useCallback((listener: () => void) => presence?.subscribe(listener) ?? nothing, [presence]);
  const self = useSyncExternalStore(subscribe, () => presence?.self, nothing);
  const others = useSyncExternalStore<Map<string, T>>(subscribe, () => presence?.others ?? nobody, () => nobody);
  const set = useCallback((state: T | null | undefined) => presence?.set(state), [presence]);
  return { self, others, set };
}
