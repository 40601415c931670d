// The database of a local copy, and what IndexedDB's own events are as promises.
//
//   meta     "confirmed" → seq, epoch and info of the records, and the stamp of their pages
//   pages    index → records, as many as 1024 together
//   log      counter → frames that lead on from the pages
//   replicas slot → who a replica is, what it knows of itself, and whose the slot is
//   outbox   [slot, first turn] → its mutations without an answer

import { after } from "../clock.js";
import { DISK_MS, LOOK_IN_MS } from "../limits.js";
import { blockedError, newerError, silentError } from "./trouble.js";

// Rows of format 1 have no checksums, and before format 3 pages held rows. All get what they lack when they are written
// again.
const FORMAT = 3;
export const STORES = ["meta", "pages", "log", "replicas", "outbox"] as const;

/** Opens the database `name`, and makes it where there is none; with `mustBe` that fails. */
export function openDatabase(name: string, mustBe = false): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(name, FORMAT);
    opening.onupgradeneeded = ({ oldVersion }) => {
      if (oldVersion > 0) return;
      if (mustBe) opening.transaction?.abort();
      else for (const store of STORES) opening.result.createObjectStore(store);
    };
    // Who was given up is in memory by then, and would only be in the way of others.
    let isLate = false;
    const giveUp = (why: Error) => {
      isLate = true;
      reject(why);
    };
    // A page that was frozen meanwhile may hear of its disk only now.
    let cancel = after(DISK_MS, () => (cancel = after(LOOK_IN_MS, () => giveUp(silentError()))));
    opening.onsuccess = () => {
      cancel();
      const db = opening.result;
      // Whoever erases the copy, or brings another format, is not held up by one that has not got to listening.
      db.onversionchange = () => db.close();
      if (isLate) db.close();
      else resolve(db);
    };
    opening.onerror = () => {
      cancel();
      reject(opening.error?.name === "VersionError" ? newerError() : opening.error);
    };
    opening.onblocked = () => giveUp(blockedError());
  });
}

/** Erases the database `name`. Others give it free as soon as they hear of it. */
export const eraseIndexedDb = (name: string): Promise<unknown> => request(indexedDB.deleteDatabase(name));

/** The answer to a request. */
export function request<T>(asked: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}

/** Resolves when all of a transaction is stored. */
export function complete(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error("a transaction was given up"));
  });
}
