// What `open` was asked for, checked.

import type { Kind, OpenOptions, StorageKind, WebSocketClass } from "./api.js";
import { randomBytes, toHex } from "./dice.js";
import { NeapError } from "./errors.js";
import { checkName, isFieldName, isWellFormed } from "./key.js";
import { NAME_BYTES_MAX } from "./limits.js";
import { subjectOf } from "./token.js";
import { checkNames } from "./trouble.js";

export interface Checked {
  readonly id: string;
  readonly kind: Kind | undefined;
  readonly primary: string | undefined;
  readonly ttl: number | undefined;
  readonly sliding: boolean | undefined;
  /** Origin of the relay, or `undefined` for none. */
  readonly relay: string | undefined;
  readonly token: OpenOptions["token"];
  readonly user: string | undefined;
  readonly storage: StorageKind;
  readonly WebSocket: WebSocketClass | undefined;
}

/** Throws `invalid-options`, or `invalid-name` for the id. */
export function check(options: OpenOptions): Checked {
  checkNames(options, "relay id kind primary ttl sliding token user storage WebSocket");
  const { kind, primary, ttl, sliding, token, user } = options;
  if (kind !== undefined && kind !== "temp" && kind !== "permanent") throw invalid('kind is "temp" or "permanent"');
  if (primary !== undefined && !isFieldName(primary))
    throw invalid(`primary is a name of 1 to ${NAME_BYTES_MAX} bytes`);
  if (ttl !== undefined && !(Number.isInteger(ttl) && ttl >= 1 && ttl <= 0xffff_ffff))
    throw invalid("ttl is a whole number of seconds from 1");
  if (sliding !== undefined && typeof sliding !== "boolean") throw invalid("sliding is true or false");
  if (token !== undefined && typeof token !== "string" && typeof token !== "function")
    throw invalid("token is a text or a function that gets one");
  if (user !== undefined && (typeof user !== "string" || user === "" || !isWellFormed(user)))
    throw invalid("user is a text, without lone surrogates");
  const relay = relayOf(options.relay);
  const storage = storageOf(options.storage);
  if (typeof token === "function" && storage === "indexeddb" && user === undefined)
    throw invalid("with a token function and indexeddb, user must say whose data this is");
  const WebSocket = options.WebSocket ?? (globalThis as { WebSocket?: WebSocketClass }).WebSocket;
  if ((relay ?? WebSocket) !== undefined && typeof WebSocket !== "function")
    throw invalid("there is no WebSocket here: pass a class as the option WebSocket");
  return {
    id: options.id === undefined ? toHex(randomBytes(16)) : checkName(options.id),
    kind,
    primary,
    ttl,
    sliding,
    relay,
    token,
    user: user ?? (typeof token === "string" ? subjectOf(token) : undefined),
    storage,
    WebSocket,
  };
}

function relayOf(relay: string | null | undefined): string | undefined {
  if (relay === null) return undefined;
  const text = relay ?? (globalThis as { location?: { origin?: string } }).location?.origin;
  if (text === undefined) throw invalid("relay is needed here: an origin, or null for none");
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw invalid("relay is an origin like https://relay.example.com");
  }
  const isWeb = url.protocol === "https:" || url.protocol === "http:";
  if (!isWeb || url.href !== `${url.origin}/`)
    throw invalid("relay is an origin like https://relay.example.com, without a path or a user");
  return url.origin;
}

function storageOf(storage: StorageKind | undefined): StorageKind {
  if (storage === undefined) return "indexedDB" in globalThis ? "indexeddb" : "memory";
  if (storage !== "indexeddb" && storage !== "memory") throw invalid('storage is "indexeddb" or "memory"');
  return storage;
}

const invalid = (message: string): NeapError => new NeapError("invalid-options", message);
