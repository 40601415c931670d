// Makes `dist/` from `src/`: one file for each way to load the package, types for both module systems.
//   npm run build -w wasm/npm

import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { deflateAsync } from "@gfx/zopfli";
import { build } from "esbuild";
import { minify } from "terser";
import { renameExports } from "./exports.mjs";
import { ownNames } from "./names.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const src = join(here, "src");
const dist = join(here, "dist");
const wasm = join(src, "generated", "neap.wasm");

/**
 * Largest `import { open } from "neap"`, minified and gzipped, all of it. The goal is 40 000: what makes it smaller
 * brings this down with it.
 */
const BUDGET = 80_950;

/** Stands for the packed wasm until all is bundled. */
const BYTES = "neapBytes";

if (!existsSync(wasm)) {
  console.error("wasm/npm: the core is not built yet; run `npm run build` at the root");
  process.exit(1);
}
rmSync(dist, { recursive: true, force: true });
mkdirSync(dist);
const own = ownNames(src);
/** Their short names: the same in all bundles, and in the wasm that these call. */
let short = {};
await bundle("index.workerd.js", { format: "esm", module: "workerd.ts" });
// What the linker exports for its own ends nobody calls.
const called = renameExports(readFileSync(wasm), (name) => (name.startsWith("__") ? undefined : (short[name] ?? name)));
writeFileSync(join(dist, "neap_bg.wasm"), called);
const packed = await deflated(called);
await bundle("index.js", { format: "esm", module: "inline.ts" });
await bundle("index.cjs", { format: "cjs", module: "inline.ts" });
for (const entry of ["react", "tanstack"]) {
  await bundle(`${entry}.js`, { entry: `${entry}.ts`, format: "esm" });
  await bundle(`${entry}.cjs`, { entry: `${entry}.ts`, format: "cjs" });
}
copyRelay();
for (const licence of ["LICENSE-MIT", "LICENSE-APACHE"]) copyFileSync(join(here, "..", "..", licence), join(dist, licence));
writeTypes();
printSize();

async function bundle(file, { entry = "index.ts", format, module }) {
  const outfile = join(dist, file);
  const { mangleCache } = await build({
    entryPoints: [join(src, entry)],
    outfile,
    format,
    bundle: true,
    minify: true,
    keepNames: false,
    platform: "neutral",
    target: "es2022",
    charset: "utf8",
    sourcemap: true,
    external: ["./neap_bg.wasm", "react"],
    ...(module && { mangleProps: own, mangleCache: short }),
    // Server components may import hooks, which run in the browser only.
    banner: entry === "react.ts" ? { js: '"use client";' } : {},
    logLevel: "warning",
    plugins: [module ? core(module) : mainEntry()],
  });
  if (!module) return;
  short = mangleCache;
  await shorten(outfile, format);
}

/** What esbuild bundles in a moment Terser goes through three times more. Then the wasm is put in. */
async function shorten(outfile, format) {
  const { code, map } = await minify(readFileSync(outfile, "utf8"), {
    module: format === "esm",
    ecma: 2022,
    compress: { passes: 3, hoist_funs: true, unsafe_arrows: true },
    // Lines, where an engine prints the one that threw.
    format: { semicolons: false },
    sourceMap: { content: readFileSync(`${outfile}.map`, "utf8"), filename: basename(outfile), url: `${basename(outfile)}.map` },
  });
  if (!code.includes(BYTES)) return write(outfile, code, map);
  // It stands before all code: amid it gzip would forget what came before, and that costs 1.8 KB.
  const { mappings, ...rest } = JSON.parse(map);
  write(outfile, `"use strict";const ${BYTES}="${packed}";\n${code}`, JSON.stringify({ ...rest, mappings: `;${mappings}` }));
}

function write(outfile, code, map) {
  writeFileSync(outfile, code);
  writeFileSync(`${outfile}.map`, map);
}

/** Entries beside the main one load it by name, so that there is one core and one `NeapError`. */
function mainEntry() {
  return {
    name: "main entry",
    setup({ onResolve }) {
      onResolve({ filter: /\/index\.js$/ }, () => ({ path: "neap", external: true }));
    },
  };
}

/** The relay as it was built: its wasm is a module beside it, as wrangler wants it. */
function copyRelay() {
  const built = join(here, "..", "..", "worker", "build");
  if (!existsSync(join(built, "index.js"))) {
    console.warn("neap: without neap/relay, since the relay is not built");
    return;
  }
  mkdirSync(join(dist, "relay"));
  for (const file of ["index.js", "index_bg.wasm"]) copyFileSync(join(built, file), join(dist, "relay", file));
  copyFileSync(join(src, "relay.d.ts"), join(dist, "relay", "index.d.ts"));
}

/** Puts the core in: its module as `module` has it. */
function core(module) {
  return {
    name: "core",
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^neap:module$/ }, () => ({ path: join(src, "module", module) }));
      onResolve({ filter: /^neap:bytes$/ }, () => ({ path: "bytes", namespace: "neap" }));
      onLoad({ filter: /^bytes$/, namespace: "neap" }, () => ({
        contents: `export const deflated = ${BYTES};`,
      }));
    },
  };
}

/** Zopfli's deflate is a twentieth smaller than zlib's, and any inflater reads it. */
async function deflated(bytes) {
  return Buffer.from(await deflateAsync(bytes, { numiterations: 40, blocksplittingmax: 0 })).toString("base64");
}

/** Declarations that can be reached from the entry, once for ESM and once for CommonJS. */
function writeTypes() {
  const out = mkdtempSync(join(tmpdir(), "neap-types-"));
  const packageFile = createRequire(import.meta.url).resolve("typescript/package.json");
  const tsc = join(dirname(packageFile), JSON.parse(readFileSync(packageFile, "utf8")).bin.tsc);
  execFileSync(process.execPath, [tsc, "-p", here, "--outDir", out], { stdio: "inherit" });
  const queue = ["index.d.ts", "react.d.ts", "tanstack.d.ts"];
  for (const file of queue) {
    const text = readFileSync(join(out, file), "utf8");
    writeFileSync(join(dist, file), text);
    writeFileSync(join(dist, file.replace(/\.d\.ts$/, ".d.cts")), text.replace(/(["'])(\.\/[\w/-]+)\.js\1/g, "$1$2.cjs$1"));
    for (const [, name] of text.matchAll(/["']\.\/([\w/-]+)\.js["']/g)) {
      if (!queue.includes(`${name}.d.ts`)) queue.push(`${name}.d.ts`);
    }
  }
  rmSync(out, { recursive: true });
}

function printSize() {
  const gzip = (file) => gzipSync(readFileSync(file), { level: 9 }).length;
  const whole = gzip(join(dist, "index.js"));
  const core = gzip(wasm);
  console.log(`neap: ${whole} bytes gzipped (wasm ${core}, JavaScript about ${gzip(join(dist, "index.workerd.js"))}), budget ${BUDGET}`);
  if (whole <= BUDGET) return;
  console.error(`neap: ${basename(dist)}/index.js is over the budget`);
  process.exitCode = 1;
}
