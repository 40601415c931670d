// Installs what the project needs and the machine lacks: npm packages, the wasm target of Rust, wasm-bindgen,
// worker-build, and a Chromium for the tests. Says each step; a second run does nothing. Needs rustup, Node 20,
// npm and a C compiler, and must run with no node_modules.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findChromium, chromiumHint } from "./chromium.mjs";
import {
  at, bareEnvironment, isMain, main, onPath, output, run, toolHome, Trouble,
  wasmBindgen, wasmBindgenVersion, workerBuild, workerBuildVersion,
} from "./house.mjs";

let steps = 0;
function say(what) {
  steps += 1;
  console.log(`setup: ${what}`);
}

/** Installs what is missing; `browser` and `lints` are what only the tests need. */
export async function setup({ browser, lints }) {
  await npmPackages();
  await newerNode();
  await rust(lints);
  await wasmBindgenCli();
  await workerBuildCli();
  if (browser) await chromium();
  return steps;
}

async function npmPackages() {
  if (installed()) return;
  say("installing the npm packages (npm ci)");
  // The machine's own npm and node: those of node_modules are about to be replaced under our feet.
  await run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { env: bareEnvironment() });
}

// npm keeps beside the packages what it has installed, so no stamp of our own can go stale. Optional packages
// are those of other platforms.
function installed() {
  const hidden = at("node_modules", ".package-lock.json");
  if (!existsSync(hidden)) return false;
  const have = JSON.parse(readFileSync(hidden, "utf8")).packages;
  const want = Object.entries(JSON.parse(readFileSync(at("package-lock.json"), "utf8")).packages);
  return want.every(([path, p]) => !path.includes("node_modules/") || p.optional || have[path]?.version === p.version);
}

// The package `node` fetches its binary in an install script, which npm can be told to skip.
async function newerNode() {
  const home = at("node_modules", "node");
  if (existsSync(join(home, "bin", "node"))) return;
  say("fetching Node 24 (the npm package node)");
  await run(process.execPath, ["installArchSpecificPackage.js"], { cwd: home, env: bareEnvironment() });
}

async function rust(lints) {
  const sysroot = output("rustc", ["--print", "sysroot"]);
  if (!sysroot) throw new Trouble("Rust is missing: install rustup from https://rustup.rs");
  if (!onPath("cc", "gcc", "clang")) throw new Trouble("a C compiler is missing: install gcc or clang");
  const target = "wasm32-unknown-unknown";
  if (!existsSync(join(sysroot, "lib", "rustlib", target))) {
    say(`adding Rust's target ${target}`);
    await run("rustup", ["target", "add", target]);
  }
  if (lints && !(output("cargo", ["fmt", "--version"]) && output("cargo", ["clippy", "--version"]))) {
    say("adding rustfmt and clippy");
    await run("rustup", ["component", "add", "rustfmt", "clippy"]);
  }
}

async function wasmBindgenCli() {
  if (wasmBindgen()) return;
  const version = wasmBindgenVersion();
  const home = toolHome("wasm-bindgen-cli", version);
  if (await downloadWasmBindgen(version, join(home, "bin"))) return;
  say(`building wasm-bindgen ${version} with cargo, once (minutes)`);
  // Not --locked: the lock file of that release pins certificates that are not needed with its features off.
  await run("cargo", ["install", "--quiet", "--no-default-features", "--root", home, `wasm-bindgen-cli@${version}`]);
}

const releases = {
  "linux-x64": "x86_64-unknown-linux-musl",
  "linux-arm64": "aarch64-unknown-linux-musl",
  "darwin-x64": "x86_64-apple-darwin",
  "darwin-arm64": "aarch64-apple-darwin",
};

// The project's own release spares minutes of compiling; a network that does not reach it is no trouble.
async function downloadWasmBindgen(version, binDir) {
  const target = releases[`${process.platform}-${process.arch}`];
  if (!target) return false;
  const name = `wasm-bindgen-${version}-${target}`;
  say(`downloading ${name}`);
  try {
    const url = `https://github.com/wasm-bindgen/wasm-bindgen/releases/download/${version}/${name}.tar.gz`;
    const answer = await fetch(url, { signal: AbortSignal.timeout(30_000) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    mkdirSync(binDir, { recursive: true });
    const unpack = ["-xzf", "-", "--strip-components=1", "-C", binDir];
    const done = spawnSync("tar", unpack, { input: Buffer.from(await answer.arrayBuffer()) });
    if (done.status !== 0 || !wasmBindgen()) throw new Error("the archive does not hold a working wasm-bindgen");
    return true;
  } catch (error) {
    console.log(`setup: no download (${error.cause?.code ?? error.message})`);
    return false;
  }
}

async function workerBuildCli() {
  if (workerBuild()) return;
  const version = workerBuildVersion;
  const home = toolHome("worker-build", version);
  say(`building worker-build ${version} with cargo, once (minutes)`);
  const hasOpenssl = process.platform !== "linux" || output("pkg-config", ["--exists", "openssl"]) !== null;
  if (hasOpenssl) await run("cargo", ["install", "--quiet", "--locked", "--root", home, `worker-build@${version}`]);
  else await workerBuildWithoutOpenssl(version, home);
}

// worker-build wants OpenSSL's headers only for downloads that our build never makes; with rustls in its
// place it builds anywhere. Its source comes by way of a package that depends on it.
async function workerBuildWithoutOpenssl(version, home) {
  console.log("setup: OpenSSL's headers are not here, so worker-build gets rustls");
  const temp = mkdtempSync(join(tmpdir(), "neap-setup-"));
  try {
    mkdirSync(join(temp, "wish", "src"), { recursive: true });
    writeFileSync(join(temp, "wish", "src", "lib.rs"), "");
    writeFileSync(
      join(temp, "wish", "Cargo.toml"),
      `[package]\nname = "wish"\nedition = "2024"\n[dependencies]\nworker-build = "=${version}"\n`,
    );
    // metadata and fetch pass over a package without a library; vendor does not.
    await run("cargo", ["vendor", "--quiet", join(temp, "vendor")], { cwd: join(temp, "wish"), stdio: ["ignore", "ignore", "inherit"] });
    const source = join(temp, "vendor", "worker-build");
    // Cargo refuses a vendored source that was changed.
    rmSync(join(source, ".cargo-checksum.json"));
    replace(join(source, "Cargo.toml"), '"native-tls"', '"rustls"');
    replace(join(source, "src", "binary.rs"), "TlsProvider::NativeTls", "TlsProvider::Rustls");
    replace(join(source, "src", "binary.rs"), "RootCerts::PlatformVerifier", "RootCerts::WebPki");
    await run("cargo", ["install", "--quiet", "--root", home, "--path", source], { cwd: source });
  } finally {
    rmSync(temp, { recursive: true, force: true });
  }
}

function replace(file, from, to) {
  const text = readFileSync(file, "utf8");
  if (!text.includes(from)) throw new Trouble(`${file} does not hold ${from}`);
  writeFileSync(file, text.replaceAll(from, to));
}

async function chromium() {
  if (findChromium()) return;
  if (process.env.NEAP_CHROMIUM) throw new Trouble(`NEAP_CHROMIUM names no file: ${process.env.NEAP_CHROMIUM}`);
  if (!(await fromDebian("Chromium for the tests", "chromium"))) console.log(`setup: ${chromiumHint}`);
}

/** Gives the tool that compiles the fuzzer's engine, which is C++. */
export async function cxx() {
  const names = ["c++", "g++", "clang++"];
  if (!onPath(...names)) await fromDebian("a C++ compiler for the fuzzer", "g++");
  if (!onPath(...names)) throw new Trouble("a C++ compiler is missing: install g++ or clang");
}

/** Installs a package where that is Debian's and we may; tells whether. */
async function fromDebian(what, name) {
  const debian = existsSync("/etc/os-release") && /^ID=debian$/m.test(readFileSync("/etc/os-release", "utf8"));
  if (!debian || process.getuid() !== 0) return false;
  say(`installing ${what} (apt-get)`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  await run("apt-get", ["update", "-qq"], { env });
  await run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", name], { env });
  return true;
}

if (isMain(import.meta.url)) {
  await main("setup", async () => {
    const done = await setup({ browser: true, lints: true });
    console.log(done === 0 ? "setup: nothing to do" : "setup: done");
  });
}
