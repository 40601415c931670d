// Tabs over the DevTools protocol itself. Playwright keeps all of its pages visible, and a visible page is never frozen.

import { spawnProfile } from "../../../tools/chromium.mjs";
import { tempDir, until } from "./house.mjs";

/** A browser whose tabs share one window: the one that was made last is visible, the others may be frozen. */
export async function tabs(t, origin) {
  const { url, kill } = await spawnProfile(tempDir(t));
  t.after(kill);
  const socket = new WebSocket(url);
  await new Promise((resolve) => socket.addEventListener("open", resolve));
  const answers = new Map();
  const arrivals = new Map();
  let asked = 0;
  socket.addEventListener("message", ({ data }) => {
    const { id, result, error, method, sessionId } = JSON.parse(data);
    arrivals.get(sessionId)?.(method);
    if (!answers.has(id)) return;
    const { resolve, reject } = answers.get(id);
    answers.delete(id);
    if (error) reject(new Error(error.message));
    else resolve(result);
  });
  const send = (method, params, sessionId) =>
    new Promise((resolve, reject) => {
      const id = ++asked;
      answers.set(id, { resolve, reject });
      socket.send(JSON.stringify({ id, method, params, sessionId }));
    });

  /** Opens a tab with the package's page, and a datastore in it. */
  return async function tab(options) {
    const { targetId } = await send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
    const say = (method, params) => send(method, params, sessionId);
    await say("Page.enable");
    /** What is asked of a page that is about to be another one may never be answered: this waits for the events that say it is. */
    const arrive = async (leave, ...events) => {
      const arrived = new Promise((resolve) =>
        arrivals.set(sessionId, (method) => {
          if (method === events[0]) events.shift();
          if (events.length === 0) resolve();
        }),
      );
      await leave();
      await arrived;
    };
    const page = {
      async evaluate(fn, given) {
        const expression = `(${fn})(${JSON.stringify(given)})`;
        const { result, exceptionDetails } = await say("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
        if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
        return result.value;
      },
      show: () => send("Target.activateTarget", { targetId }),
      freeze: () => say("Page.setWebLifecycleState", { state: "frozen" }),
      thaw: () => say("Page.setWebLifecycleState", { state: "active" }),
      go: (url) => arrive(() => say("Page.navigate", { url }), "Page.frameNavigated", "Page.loadEventFired"),
      async back() {
        const { currentIndex, entries } = await say("Page.getNavigationHistory");
        const { id: entryId } = entries[currentIndex - 1];
        await arrive(() => say("Page.navigateToHistoryEntry", { entryId }), "Page.frameNavigated");
      },
      close: () => send("Target.closeTarget", { targetId }),
    };
    await page.go(origin);
    await until(() => page.evaluate(() => globalThis.isLoaded), "the page");
    if (options) await page.evaluate((given) => start(given), options);
    return page;
  };
}
