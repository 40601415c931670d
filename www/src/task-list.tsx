import { useEffect, useRef, useState } from "preact/hooks";
import type { VNode } from "preact";
import type { Board } from "./board";
import { byAge, type Task } from "./task";
import { TaskRow } from "./task-row";

interface Props {
  board: Board;
  /** Key of the task added last on this screen: it is scrolled into view. */
  added: string | null;
}

/** All tasks, oldest first. A task that someone deletes while its title is edited here stays until that is done. */
export function TaskList({ board, added }: Props): VNode {
  const list = useRef<HTMLUListElement>(null);
  const [editing, setEditing] = useState<Task | null>(null);
  useEffect(() => {
    if (added !== null) rowOf(list.current, added)?.scrollIntoView({ block: "nearest" });
  }, [added]);
  const tasks = board.tasks;
  if (editing && board.get(editing.id) === undefined) tasks.push(editing), tasks.sort(byAge);
  const handlers = useRef({
    tick: (task: Task, done: boolean) => board.tick(task, done),
    edit: setEditing,
    save: (task: Task, title: string) => board.rename(task, title),
    remove: (task: Task) => {
      const row = rowOf(list.current, task.id);
      const next = row?.nextElementSibling ?? row?.previousElementSibling;
      const target = next?.querySelector<HTMLElement>(".delete") ?? document.getElementById("title");
      target?.focus({ preventScroll: true });
      board.remove(task);
    },
  }).current;
  const waits = board.status.connection !== "live";
  return (
    <>
      <ul class="tasks" role="list" aria-label="Tasks" ref={list}>
        {tasks.map((task) => {
          const now = board.get(task.id);
          const edited = editing?.id === task.id;
          return (
            <TaskRow key={task.id} task={task} pending={board.isPending(task.id)} waits={waits} editing={edited ? editing : null} gone={now === undefined} on={handlers} />
          );
        })}
      </ul>
      {tasks.length === 0 && <p class="empty">Low water: nothing to do yet.</p>}
    </>
  );
}

function rowOf(list: HTMLUListElement | null, key: string): Element | null {
  return list?.querySelector(`[data-key="${CSS.escape(key)}"]`) ?? null;
}
