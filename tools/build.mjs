// Builds what is stale of: the browser's wasm, the relay, the npm package, the demo; prints the sizes.
//   npm run build [-- PART...]     parts: wasm relay package www

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { at, bin, environment, isMain, main, root, run, Trouble, wasmBindgen, workerBuild } from "./house.mjs";
import { setup } from "./setup.mjs";

const generated = at("wasm", "npm", "src", "generated");

// Inputs are files and directories; a part is stale when any byte of them has changed since it was built.
const rust = ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "tools/build.mjs", "core/Cargo.toml", "core/src"];
const parts = {
  wasm: {
    inputs: [...rust, "wasm/Cargo.toml", "wasm/src"],
    output: join(generated, "neap.wasm"),
    build: buildWasm,
  },
  relay: {
    inputs: [...rust, "http/Cargo.toml", "http/src", "worker/Cargo.toml", "worker/src"],
    output: at("worker", "build", "index.js"),
    build: buildRelay,
  },
  package: {
    needs: ["wasm"],
    inputs: ["package-lock.json", "wasm/npm", "worker/build"],
    output: at("wasm", "npm", "dist"),
    build: () => run("npm", ["run", "build", "--silent", "-w", "wasm/npm"]),
  },
  www: {
    needs: ["package"],
    inputs: ["package-lock.json", "www", "bench/results.json", "bench/targets.mjs", "wasm/npm/package.json", "wasm/npm/dist"],
    output: at("www", "dist"),
    build: () => run("npm", ["run", "build", "--silent", "-w", "www"]),
  },
};

/** Builds these parts, or all, as far as they and what they stand on are stale. */
export async function build(names = Object.keys(parts)) {
  const unknown = names.find((name) => !parts[name]);
  if (unknown) throw new Trouble(`no part ${unknown}; the parts are ${Object.keys(parts).join(" ")}`, 2);
  for (const name of inOrder(names)) await buildPart(name);
}

const withNeeds = (name) => [...(parts[name].needs ?? []).flatMap(withNeeds), name];

// The order of the table: the package carries the relay when that is built.
function inOrder(names) {
  const wanted = new Set(names.flatMap(withNeeds));
  return Object.keys(parts).filter((name) => wanted.has(name));
}

async function buildPart(name) {
  const part = parts[name];
  const stamp = at("target", "neap-build", name);
  const before = fingerprint(part.inputs);
  if (existsSync(part.output) && existsSync(stamp) && readFileSync(stamp, "utf8") === before) return;
  console.log(`build: ${name}`);
  rmSync(stamp, { force: true });
  await part.build();
  mkdirSync(at("target", "neap-build"), { recursive: true });
  writeFileSync(stamp, before);
}

const notInputs = new Set(["node_modules", "build", "dist", "test", "README.md"]);

function fingerprint(inputs) {
  const hash = createHash("sha256");
  for (const input of inputs) addTo(hash, input, at(input));
  return hash.digest("hex");
}

function addTo(hash, name, path) {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats?.isDirectory()) {
    for (const entry of readdirSync(path).sort()) {
      if (!notInputs.has(entry) && !entry.startsWith(".")) addTo(hash, `${name}/${entry}`, join(path, entry));
    }
  } else if (stats) {
    hash.update(`${name}\0${stats.size}\0`).update(readFileSync(path));
  }
}

// What every browser of the last years runs, and what rustc's default target emits.
const features = ["bulk-memory", "mutable-globals", "nontrapping-float-to-int", "sign-ext", "reference-types", "multivalue"];

async function buildWasm() {
  const target = "wasm32-unknown-unknown";
  // A replica recurses no deeper than a record nests; rustc's own megabyte would be a twentieth of 100 000 records.
  const stack = ["-C", "link-arg=-zstack-size=131072"];
  await run("cargo", ["rustc", "--quiet", "--profile", "browser", "-p", "neap-wasm", "--target", target, "--crate-type", "cdylib", "--", ...stack]);
  const raw = join(process.env.CARGO_TARGET_DIR || at("target"), target, "browser", "neap_wasm.wasm");
  rmSync(generated, { recursive: true, force: true });
  mkdirSync(generated);
  const wasm = join(generated, "neap.wasm");
  // The lowest bytes are the far end of the stack, as rustc lays memory out: offsets may be folded over them.
  const enable = features.map((feature) => `--enable-${feature}`);
  // Control flow made anew, and functions in the order of their use, pack better.
  const passes = ["-O3", "--flatten", "--rereloop", "-Oz", "-Oz", "--reorder-functions"];
  await run(join(bin, "wasm-opt"), [...passes, "--low-memory-unused", ...enable, "--strip-debug", "--strip-producers", "-o", wasm, raw]);
}

async function buildRelay() {
  const env = environment({
    WASM_BINDGEN_BIN: wasmBindgen(),
    WASM_OPT_BIN: join(bin, "wasm-opt"),
    ESBUILD_BIN: join(bin, "esbuild"),
    CARGO_TERM_QUIET: "true",
  });
  await run(workerBuild(), ["--release"], { cwd: at("worker"), env });
}

/** Prints raw and gzipped sizes of what a browser loads and of what is deployed. */
function printSizes() {
  const rows = [
    ["browser wasm", [parts.wasm.output]],
    // The same JavaScript as a browser's, which has the wasm within.
    ["its JavaScript", [at("wasm", "npm", "dist", "index.workerd.js")]],
    ["both in one", [at("wasm", "npm", "dist", "index.js")]],
    ["relay", files(at("worker", "build"))],
  ];
  console.log(`${"".padEnd(16)}${"bytes".padStart(9)}${"gzip -9".padStart(9)}`);
  for (const [what, paths] of rows) {
    if (paths.length === 0 || !paths.every(existsSync)) continue;
    const bytes = paths.map((path) => readFileSync(path));
    const sum = (sizes) => String(sizes.reduce((a, b) => a + b, 0)).padStart(9);
    console.log(what.padEnd(16) + sum(bytes.map((b) => b.length)) + sum(bytes.map((b) => gzipSync(b, { level: 9 }).length)));
  }
}

function files(dir) {
  if (!existsSync(dir)) return [];
  return readdirSync(dir).filter((name) => /\.(js|wasm)$/.test(name)).map((name) => join(dir, name));
}

if (isMain(import.meta.url)) {
  await main("build", async (names) => {
    await setup({ browser: false, lints: false });
    await build(names.length > 0 ? names : undefined);
    printSizes();
  });
}
