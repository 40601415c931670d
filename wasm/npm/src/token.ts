// What a token says of its bearer. The relay checks it; here it only keeps people's data apart.

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
    const text = atob((token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(text, (char) => char.charCodeAt(0));
    return (JSON.parse(new TextDecoder().decode(bytes)) as Claims | null) ?? {};
  } catch {
    return {};
  }
}
