// From a disk to the screen: 100 000 records out of IndexedDB, in a Chromium that has just been started on a profile
// that knows them.

import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { launchProfile } from "../tools/chromium.mjs";
import { at } from "../tools/house.mjs";
import { startRelay } from "../tools/relay.mjs";
import { idAt, records, unpaced } from "./data.mjs";
import { write } from "./joiners.mjs";

export const stores = {
  json: { says: "limit: one JSON text under one key, parsed into a Map" },
  neap: { says: "records, seqs, digest and outbox; checksums compared; records unparsed until read" },
  tinybase: { says: "Store with its IndexedDB persister, which does not merge" },
  "y-indexeddb": { says: "one value per record; the document as one update" },
  replicache: { says: "reads its tree of chunks when it is asked" },
};

/** Fills each one's store in a profile of its own. */
export async function prepare(count) {
  const home = mkdtempSync(join(tmpdir(), "neap-bench-"));
  const pages = await servePages();
  const end = () => {
    pages.server.close();
    rmSync(home, { recursive: true, force: true });
  };
  const profile = (name) => join(home, name);
  let argument;
  try {
    const relay = await startRelay({ data: join(home, "relay"), vars: unpaced });
    argument = { count, last: idAt(count - 1), relay: relay.url };
    try {
      await write(relay.url, records(count));
      for (const name of Object.keys(stores)) await inPage(profile(name), `${pages.url}/${name}`, fill, argument);
    } finally {
      await relay.stop();
    }
  } catch (error) {
    end();
    throw error;
  }
  const run = async (name) => ({ operations: count, ...(await inPage(profile(name), `${pages.url}/${name}`, measure, argument)) });
  return { run, end };
}

async function inPage(dir, url, work, argument) {
  const { context, kill } = await launchProfile(dir);
  try {
    const page = context.pages()[0] ?? (await context.newPage());
    await page.goto(url);
    return await page.evaluate(work, argument);
  } finally {
    await kill();
  }
}

/* These two run in the page. */
async function fill({ count, relay }) {
  const [store, { records }] = await Promise.all([import("./store.js"), import("/data.js")]);
  await store.fill(records(count), relay);
  // What a browser has taken goes on its way to the disk.
  await new Promise((done) => setTimeout(done, 300));
}

async function measure({ count, last, relay }) {
  const begin = performance.now();
  const [{ open }, { idAt }] = await Promise.all([import("./store.js"), import("/data.js")]);
  const loaded = performance.now();
  const store = await open(relay);
  const found = await store.get(last);
  const first = performance.now();
  if (found?.id !== last) throw new Error(`no record ${last}`);
  for (let n = 0; n < count; n += 1) if (!(await store.get(idAt(n)))) throw new Error(`no record ${n}`);
  return { firstMs: first - loaded, allMs: performance.now() - loaded, loadMs: loaded - begin };
}

async function servePages() {
  const { build } = await import("esbuild");
  const names = Object.keys(stores);
  const inputs = [...names.map((name) => ({ in: at("bench", "stores", `${name}.js`), out: name })), { in: at("bench", "data.mjs"), out: "data" }];
  const { outputFiles } = await build({ entryPoints: inputs, outdir: "/", write: false, bundle: true, minify: true, format: "esm", target: "es2022", logLevel: "warning" });
  const script = (name) => outputFiles.find(({ path }) => path.endsWith(`/${name}.js`)).text;
  const page = (name) => `<!doctype html><base href="/${name}/"><title>${name}</title>`;
  const server = createServer(({ url }, response) => {
    const [, name, file] = url.split("/");
    const isScript = name === "data.js" || file === "store.js";
    response.setHeader("Content-Type", isScript ? "text/javascript" : "text/html");
    if (isScript) response.end(script(file ? name : "data"));
    else if (names.includes(name)) response.end(page(name));
    else response.writeHead(404).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, url: `http://127.0.0.1:${server.address().port}` };
}
