// Which replica of a database a tab may be. A slot is a replica's place; who holds its lock is its owner.

type Release = () => void;

// Where the platform has no locks, at least the datastores of one page do not take each other's slots.
const held = new Set<string>();

/** Takes the lock of `name` if it is free; `undefined` when it is not. */
export async function tryLock(name: string): Promise<Release | undefined> {
  if (held.has(name)) return undefined;
  held.add(name);
  const locks = (globalThis as { navigator?: { locks?: LockManager } }).navigator?.locks;
  const release = locks ? await requestLock(locks, name, { ifAvailable: true }) : () => {};
  if (!release) {
    held.delete(name);
    return undefined;
  }
  return () => {
    held.delete(name);
    release();
  };
}

/** Waits until whoever holds the lock of `name` is gone; `undefined` once `signal` ends the wait. */
export async function awaitLock(name: string, signal: AbortSignal): Promise<Release | undefined> {
  const locks = (globalThis as { navigator?: { locks?: LockManager } }).navigator?.locks;
  const release = locks && (await requestLock(locks, name, { signal }).catch(() => undefined));
  if (!release) return undefined;
  held.add(name);
  return () => {
    held.delete(name);
    release();
  };
}

function requestLock(locks: LockManager, name: string, options: LockOptions): Promise<Release | undefined> {
  return new Promise((resolve, reject) => {
    const hold = (lock: Lock | null): Promise<void> | undefined => {
      if (!lock) {
        resolve(undefined);
        return undefined;
      }
      return new Promise((release) => resolve(release));
    };
    locks.request(name, options, hold).catch(reject);
  });
}

/** Whether other tabs see the locks that this one takes: a browser has them for secure origins alone. */
export const hasSharedLocks = (): boolean =>
  !("document" in globalThis) || (globalThis as { navigator?: { locks?: LockManager } }).navigator?.locks !== undefined;
