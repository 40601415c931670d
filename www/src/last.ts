// The board that was open last here: where the installed app begins, which has no address to be opened at.

const SLOT = "neap-board-last";

/** Gives its id; `null` where there is none, or no storage. */
export function lastBoard(): string | null {
  try {
    return localStorage.getItem(SLOT);
  } catch {
    return null;
  }
}

export function rememberBoard(id: string): void {
  try {
    localStorage.setItem(SLOT, id);
  } catch {
    // No storage: the app begins with a fresh board.
  }
}
