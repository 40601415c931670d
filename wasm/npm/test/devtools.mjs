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
  let asked = 0;
  socket.addEventListener("message", ({ data }) => {
    const { id, result, error } = JSON.parse(data);
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
    const { targetId } = await send("Target.createTarget", { url: origin });
    const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
    const say = (method, params) => send(method, params, sessionId);
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
      go: (url) => say("Page.navigate", { url }),
      async back() {
        const { currentIndex, entries } = await say("Page.getNavigationHistory");
        await say("Page.navigateToHistoryEntry", { entryId: entries[currentIndex - 1].id });
      },
      close: () => send("Target.closeTarget", { targetId }),
    };
    await until(() => page.evaluate(() => globalThis.isLoaded), "the page");
    if (options) await page.evaluate((given) => start(given), options);
    return page;
  };
}
