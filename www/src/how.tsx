import type { VNode } from "preact";
import type { Board } from "./board";

const CODE = `import { open } from "neap";

const ds = await open({ id });
const tasks = ds.collection("tasks");

tasks.set({ id: "t1", title: "Milk" });
tasks.patch("t1", { done: true });
tasks.subscribe(redraw);`;

/** For the engineer: how it works, and the numbers of this very moment. */
export function HowItWorks({ board }: { board: Board }): VNode {
  const { status, epoch } = board;
  const stored = status.storage === "indexeddb" ? "stored on this device" : "in memory only";
  return (
    <footer class="foot">
      <details>
        <summary>How it works</summary>
        <p>
          This page reads and writes a copy of the board on your own device, so nothing waits for a network. Each edit is saved here first
          and then sent to the relay, which takes edits in the order in which they arrive, numbers them (<em>seq</em>) and tells everyone.
          The same Rust core, compiled to WebAssembly, decides on both sides.
        </p>
        <p>
          An edit that the relay has not confirmed is <em>pending</em>. It survives a reload and takes effect exactly once. When two people
          change the same task, the later arrival wins, also over an edit that was typed earlier, and whoever met the other is told.
        </p>
        <pre>
          <code>{CODE}</code>
        </pre>
        <p>
          A board is gone thirty days after it was last edited or opened. Whoever knows its link may read and write it. Tabs of one browser share one copy,
          so each shows at once what another has done, also without a network. <a href="/bench">The benchmarks</a> are drawn on a page of their own.
        </p>
      </details>
      <p class="numbers">
        seq {status.seq} · head {status.head} · {board.pending} pending · {stored}
        {epoch !== null && ` · epoch ${epoch.slice(0, 8)}`}
      </p>
    </footer>
  );
}
