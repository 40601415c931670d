// What the board keeps of itself in this browser. There may be no such storage: then it is as if nothing had been kept.

/** For this tab, or for this browser. */
type Where = "sessionStorage" | "localStorage";

export function recall(where: Where, slot: string): string | null {
  try {
    return globalThis[where].getItem(slot);
  } catch {
    return null;
  }
}

/** Keeps a text in place of the one before; `null`: nothing. */
export function keep(where: Where, slot: string, text: string | null): void {
  try {
    if (text === null) globalThis[where].removeItem(slot);
    else globalThis[where].setItem(slot, text);
  } catch {
    // Full, or forbidden.
  }
}
