import { Component, createRef, type VNode } from "preact";
import { Bin, Clock, Pencil } from "./icons";
import { LONGEST_TITLE, titleOf, type Task } from "./task";

interface Props {
  task: Task;
  pending: boolean;
  /** Nothing can be sent now, so what is pending will be for a while. */
  waits: boolean;
  /** The task as it was when its title began to be edited here. */
  editing: Task | null;
  /** Someone deleted it; it is shown only for the edit's sake. */
  gone: boolean;
  on: {
    tick(task: Task, done: boolean): void;
    edit(task: Task | null): void;
    save(task: Task, title: string): void;
    remove(task: Task): void;
  };
}

/** One task. Drawn again only when something of it changed: the same record is the same object. */
export class TaskRow extends Component<Props> {
  readonly #input = createRef<HTMLInputElement>();
  readonly #pencil = createRef<HTMLButtonElement>();

  override shouldComponentUpdate(next: Props): boolean {
    return (Object.keys(next) as (keyof Props)[]).some((name) => next[name] !== this.props[name]);
  }

  override componentDidUpdate(last: Props): void {
    if (this.props.editing && !last.editing) this.#input.current?.select();
    if (last.editing && !this.props.editing && document.activeElement === document.body) this.#pencil.current?.focus();
  }

  override render({ task, pending, waits, editing, gone, on }: Props): VNode {
    const title = titleOf(task);
    return (
      <li class="task" data-key={task.id} data-pending={pending ? "" : undefined} data-done={task.done ? "" : undefined}>
        <span class="tick">
          <input type="checkbox" aria-label={title} checked={task.done === true} disabled={gone} onChange={(event) => on.tick(task, event.currentTarget.checked)} />
        </span>
        {editing ? this.#form(editing) : this.#words(title, pending && waits)}
        {!editing && (
          <button type="button" class="bare" ref={this.#pencil} aria-label={`Rename ${title}`} title="Rename" onClick={() => on.edit(task)}>
            <Pencil />
          </button>
        )}
        <button type="button" class="bare delete" aria-label={`Delete ${title}`} title="Delete" onClick={() => (gone ? on.edit(null) : on.remove(task))}>
          <Bin />
        </button>
      </li>
    );
  }

  #words(title: string, waiting: boolean): VNode {
    const { task, on } = this.props;
    return (
      <div class="words">
        <span class="title" dir="auto" onDblClick={() => on.edit(task)}>
          {title}
        </span>
        {waiting && (
          <span class="waiting">
            <Clock /> not sent yet
          </span>
        )}
      </div>
    );
  }

  #form(original: Task): VNode {
    const { task, gone, on } = this.props;
    const save = (event: Event): void => {
      event.preventDefault();
      const title = this.#input.current!.value.trim();
      if (title !== "" && (gone || title !== task.title)) on.save(task, title);
      on.edit(null);
    };
    return (
      <form class="rename" onSubmit={save} onKeyDown={(event) => event.key === "Escape" && on.edit(null)}>
        <input ref={this.#input} type="text" dir="auto" aria-label={`Title of ${titleOf(original)}`} defaultValue={original.title} maxLength={LONGEST_TITLE} autocomplete="off" enterkeyhint="done" />
        <button type="submit" class="button">
          Save
        </button>
        <button type="button" class="quiet" onClick={() => on.edit(null)}>
          Cancel
        </button>
        {gone && <p class="meanwhile">Someone deleted this task meanwhile. Saving puts it back.</p>}
        {!gone && task.title !== original.title && <p class="meanwhile">Someone renamed it to “{titleOf(task)}” meanwhile. Saving replaces that.</p>}
      </form>
    );
  }
}
