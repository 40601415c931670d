// The template with the packed tarball, as a stranger deploys it: wrangler, no Rust, a datastore through it.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { open } from "../dist/index.js";
import { here, tempDir, until } from "./house.mjs";

const run = promisify(execFile);
const root = join(here, "..", "..");
const wrangler = join(root, "node_modules", "wrangler", "bin", "wrangler.js");
// No test here may ask anybody on the network for anything.
const env = {
  ...process.env,
  npm_config_offline: "true",
  npm_config_audit: "false",
  npm_config_fund: "false",
  npm_config_update_notifier: "false",
  WRANGLER_SEND_METRICS: "false",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  CI: "true",
};

let home;
const ends = [];
before(async () => {
  home = tempDir({ after: (end) => ends.push(end) });
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", home], { cwd: here, env });
  const said = JSON.parse(stdout);
  const { filename } = Array.isArray(said) ? said[0] : Object.values(said)[0];
  cpSync(join(root, "template"), home, { recursive: true });
  const project = JSON.parse(readFileSync(join(home, "package.json"), "utf8"));
  // The tool is this project's own; what the template names would come from the network.
  delete project.devDependencies;
  project.dependencies.neap = `file:${filename}`;
  writeFileSync(join(home, "package.json"), JSON.stringify(project));
  await run("npm", ["install", "--no-package-lock"], { cwd: home, env });
  assert.ok(existsSync(join(home, "node_modules", "neap", "dist", "relay", "index_bg.wasm")), "the tarball has the relay");
});
after(() => {
  for (const end of ends) end();
});

test("wrangler deploy takes it as it is", async (t) => {
  const { stdout } = await run(process.execPath, [wrangler, "deploy", "--dry-run"], { cwd: home, env });
  assert.match(stdout, /DATASTORES/);
  const size = /Total Upload: (.*)/.exec(stdout);
  assert.ok(size, stdout);
  t.diagnostic(`neap/relay deployed: ${size[1]}`);
});

test("wrangler dev serves it, and replicas meet there", async (t) => {
  const flags = ["--ip", "127.0.0.1", "--port", "0", "--inspector-port", "0", "--show-interactive-dev-session=false"];
  const child = spawn(process.execPath, [wrangler, "dev", ...flags], { cwd: home, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  const gone = new Promise((resolve) => child.on("close", resolve));
  t.after(async () => {
    // The group: wrangler has workerd as a child.
    process.kill(-child.pid, "SIGKILL");
    await gone;
  });
  const words = [];
  const url = await new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        words.push(line);
        const ready = /Ready on (http:\/\/[\w.]+:\d+)/.exec(line);
        if (ready) resolve(ready[1]);
      });
    }
    gone.then(() => reject(new Error(words.join("\n"))));
  });
  const ada = await open({ relay: url, id: "deployed", storage: "memory" });
  t.after(() => ada.close());
  assert.deepEqual(await ada.collection("tasks").set({ id: "a", n: 1 }).settled, { status: "accepted", seq: 1 });
  const ben = await open({ relay: url, id: "deployed", storage: "memory" });
  t.after(() => ben.close());
  await ben.ready;
  await until(() => ben.digest === ada.digest, "equal digests");
  assert.deepEqual(ben.collection("tasks").get("a"), { id: "a", n: 1 });
  assert.equal((await fetch(`${url}/v1/health`)).status, 200);
});
