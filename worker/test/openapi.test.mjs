// The interface as it is described, held against the relay by schemathesis, which makes requests from the description
// and checks each answer against it. It lives in a Python environment of its own, so only the long run has it.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { at } from "../../tools/house.mjs";
import { long, relay, token } from "./house.mjs";

const version = "4.32.5";
const home = at("target", "schemathesis");
const python = join(home, "bin", "python");
const rates = { NEAP_RATE_MUTATIONS: "1000000", NEAP_RATE_BYTES: "1000000000" };
const skip = !long && "installs schemathesis: NEAP_LONG=1";

function run(command, args) {
  // It keeps what it has found where it is started.
  const cwd = existsSync(home) ? home : at();
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: "utf8", timeout: 10 * 60_000 });
  assert(!error, `${command}: ${error}`);
  return { status, text: `${stdout}${stderr}` };
}

function install() {
  if (!existsSync(python)) assert.equal(run("python3", ["-m", "venv", home]).status, 0, "python3 with venv is needed");
  const { status, text } = run(python, ["-m", "pip", "install", "--quiet", `schemathesis==${version}`]);
  assert.equal(status, 0, text);
}

async function agrees(t, vars, more) {
  install();
  const r = await relay(t, { vars: { ...rates, ...vars } });
  const config = at("worker", "test", "schemathesis.toml");
  const args = ["--config-file", config, "run", `${r.url()}/v1/openapi.json`, "--url", r.url(), "--checks", "all", "--max-examples", "100", "--seed", "1", "--no-color", ...more];
  const { status, text } = run(python, ["-m", "schemathesis.cli", ...args]);
  const [summary] = /API Operations:[\s\S]*/.exec(text) ?? [text];
  t.diagnostic(summary.replace(/\s*\n\s*/g, "; "));
  assert.equal(status, 0, text.slice(-20_000));
}

test("in open mode the description and the relay agree", { skip }, (t) => agrees(t, {}, []));

test("with a secret the description and the relay agree", { skip }, (t) => {
  const jwt = token("s", { ds: "*", scope: ["read", "write", "admin"], sub: "s", exp: Math.floor(Date.now() / 1000) + 3_600 });
  return agrees(t, { NEAP_SECRET: "s" }, ["-H", `Authorization: Bearer ${jwt}`]);
});
