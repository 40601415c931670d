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
const checks = [
  "not_a_server_error",
  "status_code_conformance",
  "content_type_conformance",
  "response_headers_conformance",
  "response_schema_conformance",
  "unsupported_method",
  "ignored_auth",
  "use_after_free",
];

function run(command, args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: "utf8", timeout: 20 * 60_000 });
  assert(!error, `${command}: ${error}`);
  return { status, text: `${stdout}${stderr}` };
}

function install() {
  const python = join(home, "bin", "python");
  if (!existsSync(python)) assert.equal(run("python3", ["-m", "venv", home]).status, 0, "python3 with venv is needed");
  const { status, text } = run(python, ["-m", "pip", "install", "--quiet", `schemathesis==${version}`]);
  assert.equal(status, 0, text);
  return join(home, "bin", "schemathesis");
}

test("schemathesis finds no answer that the description does not have", { skip: !long && "installs schemathesis: NEAP_LONG=1" }, async (t) => {
  const schemathesis = install();
  const r = await relay(t, { vars: { NEAP_SECRET: "s", NEAP_RATE_MUTATIONS: "1000000" } });
  const jwt = token("s", { ds: "*", scope: ["read", "write", "admin"], sub: "s", exp: Math.floor(Date.now() / 1000) + 3_600 });
  const args = ["run", `${r.url()}/v1/openapi.json`, "--url", r.url(), "--checks", checks.join(), "--max-examples", "200", "--seed", "1", "--no-color", "-H", `Authorization: Bearer ${jwt}`];
  const { status, text } = run(schemathesis, args);
  const [summary] = /API Operations:[\s\S]*/.exec(text) ?? [text];
  t.diagnostic(summary.replace(/\s*\n\s*/g, "; "));
  assert.equal(status, 0, text.slice(-20_000));
});
