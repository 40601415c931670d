// What every tool of the house needs: where things are, which versions are pinned, how to run a child.
// Plain Node 20 and no packages, since set-up itself stands on it.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const bin = join(root, "node_modules", ".bin");

/** A path below the project's root. */
export const at = (...parts) => join(root, ...parts);

/** A mistake of the caller or of the machine: told in one line, without a stack. */
export class Trouble extends Error {
  constructor(message, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Runs a tool's main function; a `Trouble` ends the process with its line and its exit code. */
export async function main(name, body) {
  try {
    await body(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof Trouble ? `${name}: ${error.message}` : error);
    process.exit(error instanceof Trouble ? error.exitCode : 1);
  }
}

/** True when the file of this module URL is the script that was started. */
export const isMain = (url) => process.argv[1] === fileURLToPath(url);

// Children find the npm package `node` before the machine's, which may be too old for wrangler and Vite.
export function environment(extra = {}) {
  return { ...process.env, PATH: [bin, process.env.PATH].join(delimiter), ...extra };
}

/** The machine's own environment: PATH without node_modules/.bin, which npm puts in front of it. */
export function bareEnvironment() {
  const path = process.env.PATH.split(delimiter).filter((dir) => !dir.includes("node_modules"));
  return { ...process.env, PATH: path.join(delimiter) };
}

/** Runs a command to its end with our output as its own; rejects when it fails. */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, env: environment(), stdio: ["ignore", "inherit", "inherit"], ...options });
    child.on("error", (error) => reject(new Trouble(`${command} did not start: ${error.message}`)));
    child.on("close", (code, signal) => {
      if (code === 0) resolve();
      else reject(new Trouble(`${command} ${args.join(" ")} failed (${signal ?? `exit ${code}`})`));
    });
  });
}

/** The standard output of a command, or null when it is absent or fails. */
export function output(command, args, options = {}) {
  const done = spawnSync(command, args, { cwd: root, env: environment(), encoding: "utf8", ...options });
  return done.status === 0 ? done.stdout.trim() : null;
}

/** The first of these programs that PATH has. */
export function onPath(...names) {
  for (const name of names) {
    for (const dir of process.env.PATH.split(delimiter)) {
      if (dir && existsSync(join(dir, name))) return join(dir, name);
    }
  }
  return null;
}

// The command line tool must be of the very version of the crate, so the lock file is where it is pinned.
export function wasmBindgenVersion() {
  const found = /name = "wasm-bindgen"\nversion = "([^"]+)"/.exec(readFileSync(at("Cargo.lock"), "utf8"));
  if (!found) throw new Trouble("Cargo.lock has no wasm-bindgen");
  return found[1];
}

export const workerBuildVersion = "0.8.7";

const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "neap");

/** Where set-up keeps a tool built by cargo: outside the project, so that a second clone has it too. */
export const toolHome = (name, version) => join(cache, `${name}-${version}`);

// Each tool says its own version, so one of another version on PATH is passed over.
const says = (program, version) => (output(program, ["--version"]) ?? "").split(/\s+/).includes(version);

/** The path of a Rust tool of exactly this version, from PATH or the cache, or null. */
export function rustTool(crate, program, version) {
  const cached = join(toolHome(crate, version), "bin", program);
  return [cached, onPath(program)].find((path) => path && existsSync(path) && says(path, version)) ?? null;
}

export const wasmBindgen = () => rustTool("wasm-bindgen-cli", "wasm-bindgen", wasmBindgenVersion());
export const workerBuild = () => rustTool("worker-build", "worker-build", workerBuildVersion);
