import type { VNode } from "preact";
import { Cross } from "./icons";
import type { Notices } from "./notices";

/** What happened that one did not expect, until dismissed. */
export function NoticeLog({ notices }: { notices: Notices }): VNode {
  return (
    <div class="notices" role="log" aria-label="Notices">
      {notices.shown.map(({ key, text, remedy }) => (
        <div class="notice" key={key}>
          <p>{text}</p>
          {remedy && (
            <button
              type="button"
              class="remedy"
              onClick={() => {
                remedy.run();
                notices.dismiss(key);
              }}
            >
              {remedy.label}
            </button>
          )}
          <button type="button" class="bare dismiss" aria-label="Dismiss" onClick={() => notices.dismiss(key)}>
            <Cross />
          </button>
        </div>
      ))}
      {notices.more > 0 && <p class="more">{notices.more} more</p>}
    </div>
  );
}
