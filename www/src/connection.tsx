import type { VNode } from "preact";
import type { Status } from "neap";
import type { Board, Fate } from "./board";
import { Ebb, Stopped, Tide, Turning } from "./icons";

const ICONS: Record<Status["connection"], () => VNode> = {
  live: Tide,
  offline: Ebb,
  connecting: Turning,
  "catching-up": Turning,
  closed: Stopped,
};

/** The connection in the package's own words, announced when it changes. */
export function Connection({ status, pending }: { status: Status; pending: number }): VNode {
  const Icon = ICONS[status.connection];
  return (
    <p class="status" role="status" data-connection={status.connection}>
      <Icon />
      <span>{status.connection}</span>
      {pending > 0 && <span class="count"> · {pending} pending</span>}
    </p>
  );
}

/** The person's own network switch. */
export function OfflineSwitch({ board }: { board: Board }): VNode {
  const on = board.workOffline;
  return (
    <button type="button" role="switch" class="switch" aria-checked={on} onClick={() => (board.workOffline = !on)}>
      <span>Work offline</span>
      <span class="track" aria-hidden="true" />
    </button>
  );
}

/** What the connection means for one's edits, in plain words. */
export function Gauge({ status, pending, byChoice, fate }: { status: Status; pending: number; byChoice: boolean; fate: Fate }): VNode {
  return (
    <p class="gauge">
      {fate === "here" ? meaning(status, pending, byChoice) : FATES[fate]}
      {status.storage === "memory" && " This browser keeps nothing for this page: closing it loses what is pending."}
    </p>
  );
}

const FATES: Record<Exclude<Fate, "here">, string> = {
  gone: "The relay has this board no more. What you see, and what you do to it, is your own copy.",
  returning: "The board is put back as soon as the relay answers.",
};

function meaning(status: Status, pending: number, byChoice: boolean): string {
  switch (status.connection) {
    case "live":
      if (status.pending > 0) return "Sending what you did.";
      return pending > 0 ? "What another tab of yours has made waits there." : "Everyone with the link sees your edits at once.";
    case "offline":
      return byChoice ? waiting(status) : `The relay is out of reach. ${waiting(status)}`;
    case "connecting":
      return `Looking for the relay. ${waiting(status)}`;
    case "catching-up":
      return "Fetching what happened meanwhile.";
    case "closed":
      return "This board is closed. Reload the page to open it again.";
  }
}

function waiting({ pending, storage, offlineUntil }: Status): string {
  const what = pending === 0 ? "What you do waits" : pending === 1 ? "One edit waits" : `${pending} edits wait`;
  const where = storage === "indexeddb" ? "on this device" : "in this tab";
  const until = offlineUntil ? `, good until ${dayOrHour(offlineUntil)}` : "";
  return `${what} ${where}${until}.`;
}

function dayOrHour(date: Date): string {
  const soon = date.getTime() - Date.now() < 24 * 3600 * 1000;
  return date.toLocaleString(undefined, soon ? { timeStyle: "short" } : { dateStyle: "medium" });
}
