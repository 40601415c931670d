// Fuzzes what reads the bytes and texts of strangers (core/fuzz): `node tools/fuzz.mjs [--seconds N] [--keep]
// [TARGET...]`, two targets at a time, each for a minute unless told otherwise. Stops at the first input that breaks
// a promise and prints it as a line for the corpus. --keep adds what led to new code to the committed corpus.

import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { at, environment, main, output, root, run, Trouble } from "./house.mjs";
import { cxx } from "./setup.mjs";

const home = at("target", "fuzz");
const corpus = (name) => at("core", "fuzz", "corpus", `${name}.txt`);
const all = readdirSync(at("core", "fuzz", "corpus")).map((file) => file.replace(".txt", ""));

// LLVM's coverage for libFuzzer. Plain code generation options, so stable Rust takes them as they are.
const coverage = ["level=4", "inline-8bit-counters", "pc-table", "trace-compares"];
const RUSTFLAGS = ["-Cpasses=sancov-module", ...coverage.map((flag) => `-Cllvm-args=-sanitizer-coverage-${flag}`), "-Ccodegen-units=1", "--cfg", "fuzzing"].join(" ");

async function build() {
  await cxx();
  // A named target keeps these flags from build scripts and macros, which have no fuzzer to link with.
  const host = /^host: (.*)$/m.exec(output("rustc", ["-vV"]))[1];
  const args = ["build", "--quiet", "--release", "--manifest-path", "core/fuzz/Cargo.toml", "--target", host, "--target-dir", home];
  await run("cargo", args, { env: environment({ RUSTFLAGS }) });
  return join(home, host, "release", "neap-fuzz");
}

/** Lays the committed inputs out as files, as libFuzzer wants them. */
function unpack(name) {
  const dir = join(home, "corpus", name);
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  lines(name).forEach((line, n) => writeFileSync(join(dir, `${n}`), Buffer.from(line, "hex")));
  return dir;
}

const lines = (name) => readFileSync(corpus(name), "utf8").split("\n").filter(Boolean);

async function fuzz(program, name, seconds, keep) {
  const dir = unpack(name);
  const artifacts = join(home, `broken-${name}-`);
  const flags = [`-max_total_time=${seconds}`, "-max_len=4096", `-artifact_prefix=${artifacts}`, "-print_final_stats=1"];
  const { code, text } = await child(program, [dir, ...flags], name);
  if (code !== 0) {
    const found = /Test unit written to (\S+)/.exec(text)?.[1];
    const line = found ? `\nfor core/fuzz/corpus/${name}.txt: ${readFileSync(found).toString("hex")}` : "";
    throw new Trouble(`${name} broke (exit ${code})\n${text.split("\n").filter((one) => !one.startsWith("#")).slice(-60).join("\n")}${line}`);
  }
  const runs = /stat::number_of_executed_units:\s*(\d+)/.exec(text)?.[1] ?? "?";
  const edges = [...text.matchAll(/cov: (\d+)/g)].at(-1)?.[1] ?? "?";
  console.log(`${name}: ${runs} inputs in ${seconds} s, ${edges} edges, ${lines(name).length} in the corpus`);
  if (keep) await merge(program, name, dir);
}

async function merge(program, name, dir) {
  const small = join(home, "corpus", `${name}-small`);
  rmSync(small, { recursive: true, force: true });
  mkdirSync(small, { recursive: true });
  await child(program, ["-set_cover_merge=1", "-use_counters=0", "-max_len=300", small, dir], name);
  const kept = readdirSync(small).map((file) => readFileSync(join(small, file)).toString("hex"));
  const sorted = [...new Set(kept)].filter(Boolean).sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
  writeFileSync(corpus(name), sorted.map((line) => `${line}\n`).join(""));
}

function child(program, args, name) {
  return new Promise((resolve, reject) => {
    const running = spawn(program, args, { cwd: root, env: environment({ NEAP_FUZZ: name }), stdio: ["ignore", "pipe", "pipe"] });
    let text = "";
    for (const stream of [running.stdout, running.stderr]) stream.setEncoding("utf8").on("data", (part) => (text += part));
    running.on("error", (error) => reject(new Trouble(`${program} did not start: ${error.message}`)));
    running.on("close", (code) => resolve({ code, text }));
  });
}

await main("fuzz", async (args) => {
  const keep = args.includes("--keep");
  const place = args.indexOf("--seconds");
  const seconds = place < 0 ? 60 : Number(args[place + 1]);
  const names = args.filter((arg, n) => !arg.startsWith("--") && (place < 0 || n !== place + 1));
  const unknown = names.find((name) => !all.includes(name));
  if (unknown || !(seconds > 0)) throw new Trouble(`the targets are ${all.join(" ")}; --seconds wants a number`, 2);
  const program = await build();
  const waiting = names.length > 0 ? names : [...all];
  const work = async () => {
    for (let name = waiting.shift(); name; name = waiting.shift()) await fuzz(program, name, seconds, keep);
  };
  await Promise.all([work(), work()]);
});
