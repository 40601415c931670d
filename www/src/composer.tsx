import type { TargetedSubmitEvent, VNode } from "preact";
import { LONGEST_TITLE } from "./task";

/** Where a task is written down. `add` tells whether it was. */
export function Composer({ add }: { add: (title: string) => boolean }): VNode {
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const input = event.currentTarget.elements.namedItem("title") as HTMLInputElement;
    const title = input.value.trim();
    if (title === "" || add(title)) input.value = "";
    input.focus();
  };
  return (
    <form class="composer" onSubmit={submit}>
      <label for="title">New task</label>
      <input id="title" name="title" type="text" dir="auto" maxLength={LONGEST_TITLE} placeholder="What needs doing?" autocomplete="off" enterkeyhint="done" />
      <button type="submit" class="button">
        Add
      </button>
    </form>
  );
}
