import { render } from "preact";
import { App, CannotOpen } from "./app";
import { Board } from "./board";
import { installShell } from "./shell";
import "./style.css";

const root = document.getElementById("app")!;

async function start(): Promise<void> {
  const board = await Board.open(new URLSearchParams(location.search).get("id") || null);
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
