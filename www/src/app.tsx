import { useCallback, useEffect, useLayoutEffect, useReducer, useState } from "preact/hooks";
import type { VNode } from "preact";
import type { Board } from "./board";
import { Composer } from "./composer";
import { Connection, Gauge, OfflineSwitch } from "./connection";
import { HowItWorks } from "./how";
import { Back, Forth } from "./icons";
import { listenForKeys } from "./keys";
import { NoticeLog } from "./notice-log";
import { Share } from "./share";
import { TaskList } from "./task-list";

export function App({ board }: { board: Board }): VNode {
  const [, redraw] = useReducer((times: number) => times + 1, 0);
  const [added, setAdded] = useState<string | null>(null);
  // In the task that drew it: other effects run once the browser has painted, and what came before that would not be shown.
  useLayoutEffect(() => board.subscribe(() => redraw(undefined)), [board]);
  const add = useCallback(
    (title: string) => {
      const task = board.add(title);
      if (task) setAdded(task.id);
      return task !== null;
    },
    [board],
  );
  const { status, pending } = board;
  return (
    <>
      <div class="page" data-connection={status.connection}>
        <header class="rail">
          <p class="brand">
            <a href="/">neap</a>
          </p>
          <Share />
          <h1>A task board for any tide</h1>
          <p class="lead">
            It works without a network. <strong>Open this link on your phone or in another browser, switch one of them offline, edit both.</strong>
          </p>
          <section class="tide" aria-label="Connection">
            <Connection status={status} pending={pending} />
            <Gauge status={status} pending={pending} byChoice={board.workOffline} fate={board.fate} />
            <OfflineSwitch board={board} />
          </section>
        </header>
        <main class="sheet">
          <Composer add={add} />
          <TaskList board={board} added={added} />
          <UndoRedo board={board} />
        </main>
        <NoticeLog notices={board.notices} />
        <HowItWorks board={board} />
      </div>
      <div class="sea" aria-hidden="true" />
    </>
  );
}

function UndoRedo({ board }: { board: Board }): VNode {
  const { history } = board;
  useEffect(() => listenForKeys(history), [history]);
  return (
    <p class="history">
      <button type="button" class="quiet" disabled={!history.canUndo} onClick={() => history.undo()}>
        <Back /> Undo
      </button>
      <button type="button" class="quiet" disabled={!history.canRedo} onClick={() => history.redo()}>
        <Forth /> Redo
      </button>
    </p>
  );
}

/** The page for a link that opens nothing. */
export function CannotOpen({ cause }: { cause: unknown }): VNode {
  return (
    <main class="page stranded">
      <h1>This link opens no board</h1>
      <p role="alert">{cause instanceof Error ? cause.message : String(cause)}</p>
      <p>
        <a class="button" href="/">
          Start a fresh board
        </a>
      </p>
    </main>
  );
}
