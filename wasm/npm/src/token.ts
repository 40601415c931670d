// How a token is asked for, and what it says of its bearer. The relay checks it; here it only keeps people's data apart.

import { fromBase64 } from "./base64.js";
import { after, now } from "./clock.js";
import { NeapError } from "./errors.js";
import { CONNECT_MS, TOKEN_MS } from "./limits.js";

/**
 * Gives what asks a token function. One that is still at it is not asked again, since a person may be signing in;
 * but one that hangs, as on a line that is only half open, must not keep a replica from trying for ever.
 */
export function patiently(token: () => string | Promise<string>): () => Promise<string> {
  let asking: Promise<string> | undefined;
  let since = 0;
  return () => {
    if (!asking || now() - since > TOKEN_MS) {
      const mine = Promise.resolve(token()).finally(() => {
        if (asking === mine) asking = undefined;
      });
      asking = mine;
      since = now();
    }
    return inTime(asking);
  };
}

function inTime<T>(asked: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = new NeapError("token-failed", "the token function has not answered in time");
    const cancel = after(CONNECT_MS, () => reject(late));
    asked.then(resolve, reject).finally(cancel);
  });
}

/** Whether it can be part of a subprotocol's name, as which it travels (RFC 6455, 4.1). */
export const isToken = (given: unknown): given is string => typeof given === "string" && /^[\w.~+-]+$/.test(given);

interface Claims {
  readonly sub?: unknown;
  readonly exp?: unknown;
}

/** The `sub` of a JWT, if it can be read. */
export function subjectOf(token: string): string | undefined {
  const { sub } = claimsOf(token);
  return typeof sub === "string" ? sub : undefined;
}

/** When a JWT ends, in milliseconds since 1970, if it can be read. */
export function endOf(token: string): number | undefined {
  const { exp } = claimsOf(token);
  return typeof exp === "number" ? exp * 1000 : undefined;
}

function claimsOf(token: string): Claims {
  try {
    const bytes = fromBase64((token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/"));
    return (JSON.parse(new TextDecoder().decode(bytes)) as Claims | null) ?? {};
  } catch {
    return {};
  }
}
