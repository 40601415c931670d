// The only place with randomness.

/** Random bytes that nobody can guess. */
export const randomBytes = (count: number): Uint8Array => crypto.getRandomValues(new Uint8Array(count));

/** A random integer from 0 to 2^32 - 1. */
export const random32 = (): number => new DataView(randomBytes(4).buffer as ArrayBuffer).getUint32(0);

/** A number from 0 to below 1, for jitter. */
export const jitter = (): number => Math.random();

/** Bytes as hex digits. */
export const toHex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
