// From options to a datastore that can be read.

import type { Datastore, OpenOptions } from "./api.js";
import { soon } from "./clock.js";
import { LiveDatastore } from "./datastore.js";
import { random32 } from "./dice.js";
import { Driver, type DriverParts } from "./driver.js";
import { NeapError } from "./errors.js";
import { makeCore } from "./face.js";
import { check, type Checked } from "./options.js";
import { onPage } from "./page.js";
import { restore } from "./restore.js";
import { Socket, type Target } from "./socket.js";
import { eraseIndexedDb } from "./storage/database.js";
import { openIndexedDb } from "./storage/indexeddb.js";
import { MemoryStorage } from "./storage/memory.js";
import type { Identity } from "./storage/rows.js";
import type { Storage } from "./storage/storage.js";
import { troubleOf } from "./storage/trouble.js";
import { endOf, isToken, patiently, subjectOf } from "./token.js";
import { loadModule } from "./wasm.js";

/** The open drivers of this page that were told that a datastore is gone: whoever opens it now wants another in its stead. */
const gone = new Map<string, Set<Driver>>();

/**
 * Opens a datastore. Resolves when the local replica can be read and written; it never waits for the
 * network. A datastore that the relay does not have yet is created when it is first reached. One that this device
 * knows and that is gone meanwhile is not: `expired` fires, and what waits here can be read. Opened again in the page
 * that has heard it, it begins anew: what is pending goes there, exactly once, and `reset` fires.
 *
 * Rejects `invalid-options`, `invalid-name` for a bad id, and with the platform's own error where a page may not compile
 * WebAssembly. What goes wrong later, the disk included, comes as `error` events.
 */
export async function open(options: OpenOptions = {}): Promise<Datastore> {
  const checked = check(options);
  const place = databaseName(checked);
  const hasDisk = checked.storage === "indexeddb";
  const eraseCopy = () => (hasDisk ? eraseIndexedDb(place) : Promise.resolve());
  const troubles: NeapError[] = [];
  const drive = async (storage: Storage, heir?: DriverParts["heir"], signal?: AbortSignal): Promise<Driver> => {
    const [found, module] = await Promise.all([storage.load(), loading]);
    const make = ({ id, spare }: Identity) => makeCore(module, id, spare, random32(), checked);
    const { core, stored, damages } = await restore(make, found);
    signal?.throwIfAborted();
    troubles.push(...damages);
    if (gone.has(place)) core.openAnew();
    return new Driver({ core, storage, place, stored, heir, socket: heir ? early : socketOf(checked), eraseCopy });
  };
  const tell = () => troubles.splice(0).forEach((trouble) => driver.engine.report(trouble));
  const heir = async (orphan: Storage): Promise<Driver> => {
    const courier = await drive(orphan);
    tell();
    return courier;
  };
  const fromDisk = async (signal: AbortSignal): Promise<Driver> => {
    const disk = await openIndexedDb(place, signal);
    try {
      return await drive(disk, heir, signal);
    } catch (error) {
      // Whoever does not come to be leaves the place to others.
      void disk.close();
      throw error;
    }
  };
  const fromNothing = () => drive(new MemoryStorage(), heir);
  const without = (error: unknown): Promise<Driver> => {
    troubles.push(troubleOf(error));
    return fromNothing();
  };
  // The disk first: it takes its time, in which the module is unpacked.
  const opening = hasDisk ? overSleep(fromDisk) : undefined;
  const loading = loadModule();
  // It is told where it is needed.
  loading.catch(() => {});
  // And the road to the relay, which is longest.
  const early = socketOf(checked);
  early?.start();
  const driver = await (opening ? opening.catch(without) : fromNothing()).catch((error: unknown) => {
    early?.dispose();
    throw error;
  });
  const { emitter } = driver.engine;
  emitter.on("expired", () => void gone.set(place, (gone.get(place) ?? new Set()).add(driver)));
  emitter.on("status", ({ connection }) => connection === "closed" && gone.get(place)?.delete(driver));
  driver.whenReady().then(
    () => {
      // What they have pending goes to the new life too.
      for (const old of gone.get(place) ?? []) old.connect();
      gone.delete(place);
    },
    () => {},
  );
  const { primary } = checked;
  // Where no relay is asked, nobody else will say so.
  if (checked.relay === undefined && primary !== undefined && primary !== driver.engine.primary)
    troubles.push(new NeapError("options-mismatch", `what is pending here was made with the primary field "${driver.engine.primary}"`));
  // When the app has had the time to listen.
  soon(tell);
  driver.start();
  return new LiveDatastore(checked.id, driver);
}

/** Works on the disk; where the page is frozen over it, which would hold up all other tabs, that is given up and begun anew. */
async function overSleep<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  for (;;) {
    const nap = new AbortController();
    const { signal } = nap;
    let wake = () => {};
    const awake = new Promise<void>((resolve) => (wake = resolve));
    const stop = onPage({ leave: () => {}, sleep: () => nap.abort(), wake: () => signal.aborted && wake() });
    try {
      return await work(signal);
    } catch (error) {
      if (!signal.aborted) throw error;
      await awake;
    } finally {
      stop();
    }
  }
}

/** One database for each relay, datastore and user. */
function databaseName({ relay, id, user }: Checked): string {
  return ["neap", relay ?? "local", id, user ?? ""].map(encodeURIComponent).join("/");
}

function socketOf({ relay, id, token, user, WebSocket }: Checked): Socket | undefined {
  if (relay === undefined || WebSocket === undefined) return undefined;
  const url = `${relay.replace(/^http/, "ws")}/v1/datastores/${id}/socket`;
  const ask = typeof token === "function" ? patiently(token) : () => token;
  const target = async (): Promise<Target> => {
    const given = await ask();
    if (given !== undefined && !isToken(given))
      throw new NeapError("token-failed", "the token is not a JWT: it has a character that a JWT cannot have, perhaps a line break");
    if (given !== undefined && user !== undefined && subjectOf(given) !== user)
      throw new NeapError("user-mismatch", `the token is not for the user "${user}"`);
    const renewed = typeof token === "function" && given !== undefined;
    return { url, token: given, end: renewed ? endOf(given) : undefined };
  };
  return new Socket(target, WebSocket);
}
