// The packed tarball as a stranger meets it: Node, bundlers, a plain page, and the two linters of packages.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { launch } from "../../../tools/chromium.mjs";
import { here, serve, tempDir, until } from "./house.mjs";

const run = promisify(execFile);
const bin = join(here, "..", "..", "node_modules", ".bin");
// No test here may ask a registry for anything.
const env = { ...process.env, npm_config_offline: "true", npm_config_audit: "false", npm_config_fund: "false", npm_config_update_notifier: "false" };

let home;
let installed;
let tarball;
let browser;
const ends = [];
before(async () => {
  home = tempDir({ after: (end) => ends.push(end) });
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", home], { cwd: here, env });
  const said = JSON.parse(stdout);
  tarball = join(home, (Array.isArray(said) ? said[0] : Object.values(said)[0]).filename);
  writeFileSync(join(home, "package.json"), '{ "name": "stranger", "private": true }');
  await run("npm", ["install", "--no-package-lock", tarball], { cwd: home, env });
  installed = join(home, "node_modules", "neap");
  browser = await launch();
});
after(async () => {
  await browser?.close();
  for (const end of ends) end();
});

const USE = `
  const ds = await open({ relay: null, storage: "memory" });
  ds.collection("tasks").set({ id: "a", n: 1 });
  ds.collection("tasks").patch("a", { n: 2 });
  const said = JSON.stringify([...ds.collection("tasks")]) + NeapError.name;
  await ds.close();
`;
const SAID = '[["a",{"id":"a","n":2}]]NeapError';

/** What a page says after it has loaded. */
async function said(url) {
  const page = await browser.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  await page.goto(url);
  const text = await until(async () => {
    assert.deepEqual(errors, []);
    return page.title();
  }, "what the page says");
  await page.close();
  return text;
}

test("the tarball has what is needed and no more", () => {
  const files = readdirSync(join(installed, "dist")).sort();
  const expected = ["LICENSE-APACHE", "LICENSE-MIT", "api.d.cts", "api.d.ts", "errors.d.cts", "errors.d.ts", "index.cjs", "index.cjs.map"];
  expected.push("index.d.cts", "index.d.ts", "index.js", "index.js.map", "index.workerd.js", "index.workerd.js.map", "neap_bg.wasm", "open.d.cts", "open.d.ts");
  for (const entry of ["react", "tanstack"]) expected.push(...["cjs", "cjs.map", "d.cts", "d.ts", "js", "js.map"].map((end) => `${entry}.${end}`));
  expected.push("relay");
  expected.sort();
  assert.deepEqual(files, expected);
  assert.deepEqual(readdirSync(installed).sort(), ["README.md", "dist", "package.json"]);
  const packed = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
  assert.equal(packed.dependencies, undefined);
  assert.deepEqual(readdirSync(join(installed, "dist", "relay")).sort(), ["index.d.ts", "index.js", "index_bg.wasm"]);
  for (const file of ["index.js", "index.cjs", "index.workerd.js", "react.js", "react.cjs", "tanstack.js", "tanstack.cjs"]) {
    const text = readFileSync(join(installed, "dist", file), "utf8");
    assert.ok(!text.includes("import.meta"), `${file} has no URL for bundlers to stumble over`);
    assert.ok(!text.includes(dirname(here)), `${file} names no path of the machine`);
  }
});

test("Node imports and requires it", async () => {
  const exit = "console.log(said);";
  writeFileSync(join(home, "esm.mjs"), `import { open, NeapError } from "neap";${USE}${exit}`);
  writeFileSync(join(home, "cjs.cjs"), `const { open, NeapError } = require("neap"); (async () => {${USE}${exit}})();`);
  for (const file of ["esm.mjs", "cjs.cjs"]) {
    const { stdout, stderr } = await run(process.execPath, [file], { cwd: home });
    assert.equal(stdout.trim(), SAID);
    assert.equal(stderr, "");
  }
});

test("publint has nothing to say", async () => {
  const { stdout } = await run(join(bin, "publint"), [installed, "--strict"], { env });
  assert.match(stdout, /All good/);
});

test("attw finds the types right in every kind of resolution", async () => {
  // Resolution without `exports` knows no entry but the main one; a Worker is always an ES module.
  const flags = ["--profile", "node16"];
  await run(join(bin, "attw"), [tarball, "--entrypoints", ".", "react", "tanstack", ...flags], { env }).catch((error) => assert.fail(error.stdout));
  await run(join(bin, "attw"), [tarball, "--entrypoints", "relay", "--profile", "esm-only"], { env }).catch((error) => assert.fail(error.stdout));
});

test("types are strict and say what the contract says", async () => {
  const program = `
    import { open, NeapError, type Collection, type Datastore, type Mutation, type Outcome, type Pool, type Query, type Status } from "neap";
    interface Task { id: string; title: string; tags: string[]; deep?: { n: number } }
    const ds: Datastore = await open({ relay: null, kind: "permanent", token: async () => "t", user: "ada" });
    const tasks: Collection<Task> = ds.collection<Task>("tasks");
    const mutation: Mutation = tasks.set({ id: "a", title: "t", tags: [] }, { ifAbsent: true });
    tasks.patch("a", { deep: { n: null }, title: "x" }, { ifSeq: 1 });
    tasks.patch("a", { deep: null });
    const outcome: Outcome = await mutation.settled;
    const seq: number | null | undefined = outcome.status === "accepted" ? outcome.seq : undefined;
    const code: string = outcome.status === "refused" ? outcome.code : "";
    const status: Status = ds.status;
    const end: () => void = ds.on("refused", ({ id, ops }) => { id.toUpperCase(); ops[0]?.collection.length; });
    const live: Query<Task> = tasks.query({ where: { title: "t" }, orderBy: [["title", "desc"], "id"], limit: 3 });
    live.subscribe((value) => value.length);
    const seen: Pool<{ id: string }> = ds.pool<{ id: string }>("seen", { primary: "id", retain: "converged" });
    const { seq: at, digest }: { seq: number; digest: string } = await seen.whenConverged();
    tasks.subscribe(({ changes }) => changes.forEach(({ key, before, after, origin }) => [key, before?.title, after?.tags, origin === "local"]));
    for (const [key, record] of tasks) { key.length; record.title.length; }
    ds.transact((tx) => { tx.collection<Task>("tasks").set({ id: "b", title: "t", tags: [] }); });
    ds.on("error", (error: NeapError) => error.code);
    const loose = ds.collection("loose"); loose.set({ id: "a", any: 1 }); const member: unknown = loose.get("a")?.["any"];
    await open({ WebSocket });
    // @ts-expect-error a record is read-only
    tasks.get("a")!.title = "x";
    // @ts-expect-error not a member
    tasks.patch("a", { nope: 1 });
    // @ts-expect-error two conditions would be no condition
    tasks.delete("a", { ifNever: true });
    // @ts-expect-error no such kind
    open({ kind: "other" });
    export { seq, code, status, end, member, at, digest };
  `;
  const dir = join(home, "types");
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, "use.mts"), program);
  writeFileSync(join(dir, "use.cts"), 'import neap = require("neap"); export const ds: Promise<neap.Datastore> = neap.open({ relay: null });');
  const compilerOptions = { strict: true, noEmit: true, module: "nodenext", target: "es2022", lib: ["es2022", "dom"], types: [], skipLibCheck: false };
  writeFileSync(join(dir, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*"] }));
  await run(join(bin, "tsc"), ["-p", dir], { env }).catch((error) => assert.fail(error.stdout));
});

test("a plain page loads the file as it is", async (t) => {
  const url = await serve(t, {
    "/": `<script type="module">import { open, NeapError } from "/neap.js";${USE}document.title = said;</script>`,
    "/neap.js": readFileSync(join(installed, "dist", "index.js")),
  });
  assert.equal(await said(url), SAID);
});

test("esbuild bundles it without a word; the size is printed", async (t) => {
  const warnings = [];
  const bundle = async (contents, options = {}) => {
    const result = await build({ stdin: { contents, resolveDir: home }, bundle: true, minify: true, write: false, logLevel: "silent", format: "esm", ...options });
    warnings.push(...result.warnings);
    return result.outputFiles[0].contents;
  };
  const page = await bundle(`import { open, NeapError } from "neap"; (async () => {${USE}document.title = said;})();`, { format: "iife", target: "es2020" });
  const url = await serve(t, { "/": '<script src="/app.js"></script>', "/app.js": Buffer.from(page) });
  assert.equal(await said(url), SAID);
  const alone = await bundle('import { open } from "neap"; open();');
  assert.deepEqual(warnings, []);
  t.diagnostic(`import { open } from "neap": ${alone.length} bytes, ${gzipSync(alone, { level: 9 }).length} gzipped`);
});

test("workerd takes the wasm as a module", async (t) => {
  const contents = `import { open, NeapError } from "neap"; export default { async fetch() {${USE}return new Response(said); } };`;
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: home },
    bundle: true,
    write: false,
    format: "esm",
    conditions: ["workerd"],
    external: ["*.wasm"],
  });
  const dir = tempDir(t);
  writeFileSync(join(dir, "main.mjs"), outputFiles[0].contents);
  copyFileSync(join(installed, "dist", "neap_bg.wasm"), join(dir, "neap_bg.wasm"));
  writeFileSync(join(dir, "config.capnp"), `
    using Workerd = import "/workerd/workerd.capnp";
    const config :Workerd.Config = (
      services = [(name = "main", worker = (
        modules = [(name = "main.mjs", esModule = embed "main.mjs"), (name = "neap_bg.wasm", wasm = embed "neap_bg.wasm")],
        compatibilityDate = "2026-04-01",
      ))],
      sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
    );`);
  const child = spawn(join(bin, "workerd"), ["serve", "--control-fd=3", "config.capnp"], { cwd: dir, stdio: ["ignore", "inherit", "inherit", "pipe"] });
  t.after(() => child.kill("SIGKILL"));
  const port = await new Promise((resolve, reject) => {
    child.on("close", () => reject(new Error("workerd ended")));
    child.stdio[3].on("data", (text) => resolve(JSON.parse(text).port));
  });
  const response = await fetch(`http://127.0.0.1:${port}/`);
  assert.equal(await response.text(), SAID);
});

const vite = join(bin, "vite");
test("Vite serves it in development and builds it", { skip: !existsSync(vite) && "vite is not installed" }, async (t) => {
  const app = join(home, "vite-app");
  mkdirSync(app, { recursive: true });
  writeFileSync(join(app, "package.json"), '{ "name": "vite-app", "type": "module" }');
  writeFileSync(join(app, "index.html"), '<!doctype html><script type="module" src="/main.js"></script>');
  writeFileSync(join(app, "main.js"), `import { open, NeapError } from "neap";${USE}document.title = said;`);
  const { createServer, build: bundle } = await import(createRequire(join(here, "..", "..", "package.json")).resolve("vite").replace(/index\.cjs$/, "dist/node/index.js"));
  const common = { root: app, configFile: false, logLevel: "error", cacheDir: join(app, ".vite") };
  const server = await createServer({ ...common, server: { port: 0, host: "127.0.0.1", fs: { strict: false } } });
  t.after(() => server.close());
  await server.listen();
  assert.equal(await said(`http://127.0.0.1:${server.httpServer.address().port}/`), SAID);
  await bundle(common);
  const out = join(app, "dist");
  const files = { "/": readFileSync(join(out, "index.html")) };
  for (const file of readdirSync(join(out, "assets"))) files[`/assets/${file}`] = readFileSync(join(out, "assets", file));
  assert.equal(await said(await serve(t, files)), SAID);
});
