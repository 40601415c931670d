// The bounds of `core/src/limits.rs` that are judged at the call, before anything crosses into wasm.

/** Longest name of a primary field, in bytes of UTF-8. */
export const NAME_BYTES_MAX = 64;
/** Longest key, in bytes of UTF-8. */
export const KEY_BYTES_MAX = 512;
/** Largest record, in bytes of its minified JSON. */
export const RECORD_BYTES_MAX = 256 * 1024;
/** Deepest nesting of arrays and objects, the record itself being the first level. */
export const DEPTH_MAX = 32;
/** Pools that a replica can have open at once. */
export const MEMBERSHIPS_MAX = 64;
/** Largest state that is shown to the others, in bytes of its JSON. */
export const PRESENCE_BYTES_MAX = 4 * 1024;
/** The shortest time between two states that are sent, in milliseconds. */
export const PRESENCE_MS = 50;

// Shell's own bounds.

/** Sets that wait in JavaScript before they cross into wasm together. */
export const QUEUE_RECORDS = 512;
/** The same by estimated characters of JSON: large records gain nothing from waiting. */
export const QUEUE_CHARS = 64 * 1024;
/** Mutations that can be undone, at least. */
export const HISTORY_MAX = 200;
/** Frames of one catch-up that are still appended to the stored log instead of a checkpoint. */
export const CATCH_UP_LOG_BYTES = 256 * 1024;
/** A stored log beyond this size, and beyond a quarter of the pages, is folded into them. */
export const LOG_BYTES_MIN = 1024 * 1024;
/** The page is never blocked longer than about this by encoding a checkpoint, in milliseconds. */
export const SLICE_MS = 8;
/** So many pages of records are read from the disk first … */
export const PAGES_FIRST = 2;
/** … and then so many together, about a megabyte: the first are read back while the others come. */
export const PAGES_TOGETHER = 8;
/** How often a visible page asks whether the connection still stands. */
export const PING_MS = 25_000;
/** How long the answer may take where the browser says that the network is gone: it may know of one that leads elsewhere. */
export const OFFLINE_PONG_MS = 2_000;
/** The first wait before connecting again is drawn from 0 to this; it doubles up to the cap. */
export const RETRY_MS = 500;
export const RETRY_CAP_MS = 30_000;
/** A relay that has enough is left alone for as long, whatever happens meanwhile. */
export const PAUSE_MS = 5_000;
/** No more frames are handed to a socket while this many bytes wait in it, in bytes. */
export const SEND_BUFFER_BYTES = 1024 * 1024;
/** How soon it is looked at again, in milliseconds. */
export const SEND_AGAIN_MS = 20;
/** A token function is asked for another token no sooner than after this time. */
export const RENEW_MIN_MS = 1000;
/** How long a connection may take to stand, and a token to come before the app is told. */
export const CONNECT_MS = 15_000;
/** A token function that has not answered for so long is asked again. */
export const TOKEN_MS = 60_000;
/** How long the relay remembers a replica of a permanent datastore that stays away. */
export const LEDGER_MS = 400 * 24 * 3600 * 1000;
/** The core is told the time at least this often while it waits for something. */
export const TICK_MAX_MS = 10_000;
/** A database that is not open after so long is done without, in milliseconds. */
export const DISK_MS = 15_000;
/**
 * How long another tab may take to see that there is nothing to deliver in a place that is free, and a page to hear what came
 * while it was frozen, in milliseconds.
 */
export const LOOK_IN_MS = 500;
/** How often it is looked whether it is free again. */
export const LOOK_AGAIN_MS = 20;
