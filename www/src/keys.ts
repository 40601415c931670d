import type { Board } from "./board";

/** Whether someone is writing there: then the keys are for the words. */
const isWriting = (at: EventTarget | null): boolean => at instanceof HTMLInputElement && at.type === "text" && at.value !== "";

/** Lets Ctrl or Command with Z take back, and with Shift or Y do again. Returns what ends that. */
export function listenForKeys(history: Board["history"]): () => void {
  const take = (event: KeyboardEvent): void => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey || isWriting(event.target)) return;
    const key = event.key.toLowerCase();
    if (key === "z" && !event.shiftKey && history.canUndo) history.undo();
    else if ((key === "z" ? event.shiftKey : key === "y") && history.canRedo) history.redo();
    else return;
    event.preventDefault();
  };
  addEventListener("keydown", take);
  return () => removeEventListener("keydown", take);
}
