// Every test, ring by ring from the inside out: `npm test`, or `npm test -- RING...` for some of them.
// `npm run test:long` (--long) is the same with NEAP_LONG=1 and larger numbers. All rings run even when one
// fails; the last line adds them up.

import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { build } from "./build.mjs";
import { at, bin, environment, main, root, Trouble } from "./house.mjs";
import { setup } from "./setup.mjs";

const long = process.argv.includes("--long");
const minutes = long ? 30 : 5;
// One by one: together they would share features, and the browser's crate stands without std.
const wasmCrates = ["neap-wasm", "neap-worker"].map((crate) => ["-p", crate, "--target", "wasm32-unknown-unknown"]);
const core = ["-p", "neap-core"];
const http = ["-p", "neap-http"];

const cargo = (...args) => ({ command: "cargo", args });
const denyWarnings = { RUSTDOCFLAGS: "-D warnings" };

// The server without Cloudflare in workerd's place, under the tests of the relay and of the package, unchanged.
const server = ["-p", "neap-server"];
const native = { NEAP_RELAY: "native" };
const overRelays = ["browser", "cities", "disk", "history", "react", "relay", "tanstack"].map((name) => `${name}.test.mjs`);

// A ring is a list of commands; one that stands on built parts names them, and a long one waits for `test:long`
// or its own name.
const rings = {
  fmt: { run: () => [cargo("fmt", "--all", "--check")] },
  clippy: {
    run: () => [
      cargo("clippy", "--quiet", ...core, ...http, "--all-targets", "--", "-D", "warnings"),
      ...wasmCrates.map((crate) => cargo("clippy", "--quiet", ...crate, "--all-targets", "--", "-D", "warnings")),
    ],
  },
  doc: {
    run: () => [
      { ...cargo("doc", "--quiet", "--no-deps", ...core, ...http), env: denyWarnings },
      ...wasmCrates.map((crate) => ({ ...cargo("doc", "--quiet", "--no-deps", ...crate), env: denyWarnings })),
    ],
  },
  core: { run: () => [{ ...cargo("test", "--quiet", ...core), env: long ? { PROPTEST_CASES: "5000" } : {} }] },
  http: { run: () => [cargo("test", "--quiet", ...http)] },
  sim: {
    run: () => [
      cargo("run", "--quiet", "--release", ...core, "--example", "sim", "--", "--seeds", long ? "20000" : "2000"),
      cargo("test", "--quiet", "--release", ...core, "--test", "model", "--", "--nocapture"),
    ],
  },
  fuzz: { isLong: true, run: () => [{ command: join(bin, "node"), args: ["tools/fuzz.mjs"] }] },
  build: { run: () => [{ command: join(bin, "node"), args: ["tools/build.mjs"] }] },
  types: { built: ["package"], run: () => ["wasm/npm", "www"].map(typeCheck) },
  tools: { built: ["relay"], run: () => [nodeTests("tools/test")] },
  package: { built: ["relay", "package"], run: () => [nodeTests("wasm/npm/test")] },
  relay: { built: ["relay", "package"], run: () => [nodeTests("worker/test")] },
  www: { built: ["relay", "www"], run: () => [nodeTests("www/test")] },
  native: {
    isLong: true,
    built: ["package"],
    run: () => [
      cargo("clippy", "--quiet", ...server, "--all-targets", "--", "-D", "warnings"),
      { ...cargo("doc", "--quiet", "--no-deps", ...server), env: denyWarnings },
      cargo("test", "--quiet", ...server),
      cargo("build", "--quiet", "--release", ...server),
      { ...nodeTests("worker/test"), env: native },
      { ...nodeTests("wasm/npm/test", overRelays), env: native },
    ],
  },
  bench: { built: ["package", "relay"], run: () => [{ command: join(bin, "node"), args: ["bench/peers.mjs"] }, nodeTests("bench/test")] },
};

function typeCheck(dir) {
  return { command: join(bin, "tsc"), args: ["--noEmit", "--strict", "-p", dir] };
}

function nodeTests(dir, only) {
  const all = existsSync(at(dir)) ? readdirSync(at(dir)).filter((name) => /\.test\.(mjs|ts)$/.test(name)) : [];
  const files = only ? all.filter((name) => only.includes(name)) : all;
  if (files.length === 0) throw new Trouble(`${dir} has no tests`);
  // A test that failed may have left something running: that must not hold the run.
  const flags = ["--test", "--test-force-exit", "--test-reporter=spec", "--test-concurrency=1", `--test-timeout=${minutes * 60_000}`];
  return { command: join(bin, "node"), args: [...flags, ...files.sort().map((name) => `${dir}/${name}`)] };
}

async function runRing(name) {
  const ring = rings[name];
  const start = Date.now();
  const sum = { passed: 0, failed: 0 };
  console.log(`\n== ${name}`);
  try {
    if (ring.built) await build(ring.built);
    for (const command of ring.run()) add(sum, await runCommand(command));
  } catch (error) {
    console.log(error instanceof Trouble ? error.message : error);
    sum.failed += 1;
  }
  const seconds = ((Date.now() - start) / 1000).toFixed(1);
  console.log(`== ${name}: ${sum.passed} passed, ${sum.failed} failed, ${seconds} s`);
  return sum;
}

function add(sum, more) {
  sum.passed += more.passed;
  sum.failed += more.failed;
}

// A command that closes with counts counts for them; any other is one test.
async function runCommand({ command, args, env = {} }) {
  const { code, text } = await tee(command, args, environment({ ...env, ...(long ? { NEAP_LONG: "1" } : {}) }));
  const sum = counts(text) ?? { passed: code === 0 ? 1 : 0, failed: 0 };
  if (code !== 0 && sum.failed === 0) sum.failed = 1;
  return sum;
}

function counts(text) {
  const total = (pattern) => [...text.matchAll(pattern)].reduce((n, found) => n + Number(found[1]), 0);
  if (/^test result: /m.test(text)) return { passed: total(/^test result: .*?(\d+) passed/gm), failed: total(/^test result: .*?(\d+) failed/gm) };
  if (/^ℹ pass \d/m.test(text)) return { passed: total(/^ℹ pass (\d+)/gm), failed: total(/^ℹ (?:fail|cancelled) (\d+)/gm) };
  return null;
}

function tee(command, args, env) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, env, stdio: ["ignore", "pipe", "inherit"] });
    let text = "";
    child.stdout.setEncoding("utf8");
    child.stdout.on("data", (chunk) => {
      text += chunk;
      process.stdout.write(chunk);
    });
    child.on("error", (error) => reject(new Trouble(`${command} did not start: ${error.message}`)));
    child.on("close", (code) => resolve({ code, text }));
  });
}

await main("test", async (args) => {
  const names = args.filter((arg) => arg !== "--long");
  const unknown = names.find((name) => !rings[name]);
  if (unknown) throw new Trouble(`no ring ${unknown}; the rings are ${Object.keys(rings).join(" ")}`, 2);
  await setup({ browser: true, lints: true });
  const sum = { passed: 0, failed: 0 };
  for (const name of Object.keys(rings)) {
    if (names.length === 0 ? long || !rings[name].isLong : names.includes(name)) add(sum, await runRing(name));
  }
  console.log(`\n${sum.passed} passed, ${sum.failed} failed`);
  if (sum.failed > 0) process.exit(1);
});
