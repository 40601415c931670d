// What the package's tests share.

import { createServer } from "node:http";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { startRelay } from "../../../tools/relay.mjs";

export { random } from "./dice.mjs";

export const here = dirname(dirname(fileURLToPath(import.meta.url)));
export const dist = join(here, "dist");

/** The text of a private module of the package, with all that it imports. */
export async function sourceText(name) {
  const { outputFiles } = await build({
    entryPoints: [join(here, "src", name)],
    bundle: true,
    format: "esm",
    write: false,
    logLevel: "error",
  });
  return outputFiles[0].text;
}

/** Imports a private module of the package. */
export const source = async (name) => import(`data:text/javascript;base64,${Buffer.from(await sourceText(name)).toString("base64")}`);

/** A fresh directory that goes when the test ends. */
export function tempDir(t) {
  const dir = mkdtempSync(join(tmpdir(), "neap-test-"));
  // Whoever writes there may take a moment to be gone.
  t.after(() => rmSync(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));
  return dir;
}

/** Waits until `holds` gives something true. Tests do not sleep for luck: this ends as soon as it can. */
export async function until(holds, what = "it", ms = 20_000) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await holds();
    if (value) return value;
    if (Date.now() > end) throw new Error(`${what} did not come within ${ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The code of the NeapError that `fn` throws. */
export function codeOf(fn) {
  try {
    fn();
  } catch (error) {
    return error.code ?? error;
  }
  return "nothing thrown";
}

/** Serves files and texts by path on a free port of this machine. */
export async function serve(t, files) {
  const types = { js: "text/javascript", html: "text/html", wasm: "application/wasm" };
  const server = createServer((request, response) => {
    const { pathname: path, search } = new URL(request.url, "http://localhost");
    const found = files[path];
    if (found === undefined) return response.writeHead(404).end();
    const type = types[path.split(".").pop()] ?? "text/html";
    response.writeHead(200, { "content-type": type }).end(typeof found === "function" ? found(search.slice(1)) : found);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}`;
}

export const builtPackage = () => readFileSync(join(dist, "index.js"));

/** A page with the package, and with `start` to open a datastore. */
const PAGE = `<!doctype html><title>neap</title><script type="module">
  import * as neap from "/index.js";
  globalThis.neap = neap;
  globalThis.trouble = [];
  globalThis.refused = [];
  globalThis.expired = 0;
  globalThis.start = async (options) => {
    const ds = await neap.open(options);
    ds.on("error", (error) => trouble.push(error.code));
    ds.on("refused", ({ id, ops }) => refused.push({ id, ops }));
    ds.on("expired", () => (expired += 1));
    globalThis.ds = ds;
    globalThis.tasks = ds.collection("tasks");
    return ds.id;
  };
  globalThis.isLoaded = true;
</script>`;

/** The package's page on a port of its own, and a relay. */
export async function serveHome(t, { relay: wanted = true } = {}) {
  const origin = await serve(t, { "/": PAGE, "/index.js": builtPackage(), "/blank": "<!doctype html>" });
  const relay = wanted ? await startRelay({ data: tempDir(t) }) : undefined;
  if (relay) t.after(() => relay.stop());
  return { origin, relay };
}

/** A profile of a browser with the package served to it, and a relay. */
export async function profile(t, browser, wanted) {
  const { origin, relay } = await serveHome(t, wanted);
  const context = await browser.newContext();
  t.after(() => context.close());
  const tab = async (options) => {
    const page = await context.newPage();
    page.on("pageerror", (error) => console.error("page:", error));
    await load(page, options);
    return page;
  };
  const load = async (page, options) => {
    await page.goto(origin);
    await page.waitForFunction("globalThis.isLoaded");
    if (options) await page.evaluate((given) => start(given), options);
  };
  return { origin, relay, context, tab, load };
}
