import { render } from "preact";
import { App, CannotOpen } from "./app";
import { Board } from "./board";
import { installShell } from "./shell";
import { keep, recall } from "./slots";
import "./style.css";

/** The board that was open last here: where the installed app begins, which has no address to be opened at. */
const LAST = "neap-board-last";

const root = document.getElementById("app")!;

async function start(): Promise<void> {
  const asked = new URLSearchParams(location.search);
  const board = await Board.open(asked.get("id") || (asked.has("last") ? recall("localStorage", LAST) : null));
  keep("localStorage", LAST, board.id);
  history.replaceState(null, "", `/?id=${encodeURIComponent(board.id)}`);
  root.replaceChildren();
  render(<App board={board} />, root);
}

installShell();
start().catch((cause: unknown) => {
  console.error(cause);
  root.replaceChildren();
  render(<CannotOpen cause={cause} />, root);
});
