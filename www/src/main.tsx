import { render } from "preact";
import { App, CannotOpen } from "./app";
import { Board } from "./board";
import { lastBoard, rememberBoard } from "./last";
import { installShell } from "./shell";
import "./style.css";

const root = document.getElementById("app")!;

async function start(): Promise<void> {
  const asked = new URLSearchParams(location.search);
  const board = await Board.open(asked.get("id") || (asked.has("last") ? lastBoard() : null));
  rememberBoard(board.id);
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
