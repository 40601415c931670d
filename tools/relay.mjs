// The local relay: the built relay and the demo on a real workerd, without wrangler in between.
//   npm run relay -- --port N --data DIR [--var KEY=VALUE]...
// Tests import `startRelay`.

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { accessSync, constants, existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { createInterface } from "node:readline";
import { at, isMain, main, Trouble } from "./house.mjs";

const relayBuild = at("worker", "build");

// NEAP_RELAY=native puts the server without Cloudflare in workerd's place, for everybody who starts a relay.
const isNative = process.env.NEAP_RELAY === "native";

/**
 * Starts a relay on 127.0.0.1 and resolves when it answers. `port` 0 takes a free one; `vars` are the relay's
 * settings; `assets` is the directory of the demo, `build` that of the relay. `stop` ends it, `kill` ends it as a power cut would;
 * `hear` is given each line that workerd writes; `exited` resolves with the relay's last words when it is gone, for whatever reason.
 */
export async function startRelay({ port = 0, data, vars = {}, assets = at("www", "dist"), build = relayBuild, hear = () => {} }) {
  const options = { port, data, vars, assets, build };
  const { child, boundPort } = isNative ? spawnServer(options) : spawnWorkerd(options);
  const watcher = dieWithUs(child.pid);
  const complaints = [];
  const note = (line) => {
    hear(line);
    if (process.env.NEAP_RELAY_LOG) console.error(line);
  };
  createInterface({ input: child.stderr }).on("line", (line) => {
    complaints.push(line);
    if (complaints.length > 20) complaints.shift();
    note(line);
  });
  if (!isNative) createInterface({ input: child.stdout }).on("line", note);
  const exited = new Promise((done) => {
    child.on("close", (code, signal) => {
      watcher.kill("SIGKILL");
      done(`${isNative ? "the server" : "workerd"} ended (${signal ?? `exit ${code}`})\n${complaints.join("\n")}`.trim());
    });
  });
  const end = async (signal) => {
    child.kill(signal);
    await exited;
  };
  const failed = exited.then((words) => {
    if (/address already in use/i.test(words)) throw new Trouble(`port ${port} is in use`);
    throw new Trouble(words);
  });
  try {
    const url = `http://127.0.0.1:${await Promise.race([boundPort, failed])}`;
    await Promise.race([healthy(url), failed]);
    failed.catch(() => {});
    // SQLite keeps what was committed whatever ends the process, and workerd's own gentle end waits for its clients.
    return { url, pid: child.pid, exited, stop: () => end("SIGKILL"), kill: () => end("SIGKILL") };
  } catch (error) {
    await end("SIGKILL");
    throw error;
  }
}

function writeConfig({ port, data, vars, assets, build }) {
  const home = resolve(data);
  const objects = join(home, "objects");
  mkdirSync(objects, { recursive: true });
  const file = join(home, "relay.capnp");
  const text = JSON.stringify;
  const embed = (path) => `embed ${text(relative(home, path))}`;
  const date = /"compatibility_date": "([^"]+)"/.exec(readFileSync(at("worker", "wrangler.jsonc"), "utf8"))[1];
  const wasm = readdirSync(build).filter((name) => name.endsWith(".wasm"));
  const modules = [
    `(name = "index.js", esModule = ${embed(join(build, "index.js"))})`,
    ...wasm.map((name) => `(name = ${text(`./${name}`)}, wasm = ${embed(join(build, name))})`),
  ];
  // The values travel in workerd's environment: they may be secrets and have no business in a file.
  const bindings = [
    `(name = "DATASTORES", durableObjectNamespace = "Datastore")`,
    ...Object.keys(vars).map((name) => `(name = ${text(name)}, fromEnvironment = ${text(variable(name))})`),
  ];
  const demo = existsSync(join(assets, "index.html"));
  // A deployed relay deflates what it says; on a loopback that was most of what a catch-up costs both sides.
  const flags = `["no_web_socket_compression"]`;
  const config = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "front", worker = (
      compatibilityDate = ${text(date)},
      compatibilityFlags = ${flags},
      modules = [(name = "front.js", esModule = ${embed(at("tools", "front.js"))})],
      bindings = [(name = "RELAY", service = "relay")${demo ? `, (name = "ASSETS", service = "assets")` : ""}],
    )),
    (name = "relay", worker = (
      compatibilityDate = ${text(date)},
      compatibilityFlags = ${flags},
      modules = [${modules.join(", ")}],
      bindings = [${bindings.join(", ")}],
      durableObjectNamespaces = [(className = "Datastore", uniqueKey = "neap-Datastore", enableSql = true)],
      durableObjectStorage = (localDisk = "objects"),
    )),
    (name = "objects", disk = (path = ${text(objects)}, writable = true)),
    ${demo ? `(name = "assets", disk = (path = ${text(resolve(assets))})),` : ""}
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "front")],
);
`;
  writeFileSync(file, config);
  return file;
}

const variable = (name) => `NEAP_RELAY_VAR_${name}`;

// In a process group of its own: Ctrl-C in a terminal reaches us, and we decide.
function spawnWorkerd(options) {
  if (!existsSync(join(options.build, "index.js"))) throw new Trouble("the relay is not built: npm run build");
  const settings = Object.entries(options.vars).map(([name, value]) => [variable(name), value]);
  // The program itself: node_modules/.bin/workerd may be a script that starts it, with another pid.
  const workerd = createRequire(import.meta.url)("workerd").default;
  const child = spawn(workerd, ["serve", "--control-fd=3", writeConfig(options)], {
    detached: true,
    env: { ...process.env, ...Object.fromEntries(settings) },
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  });
  return { child, boundPort: portOfWorkerd(child) };
}

// Tests speak of clients by the header that Cloudflare would set.
function spawnServer({ port, data, vars, assets }) {
  const server = process.env.NEAP_SERVER ?? at("target", "release", "neap-server");
  if (!existsSync(server)) throw new Trouble("the server is not built: cargo build --release -p neap-server");
  const www = existsSync(join(assets, "index.html")) ? ["--www", resolve(assets)] : [];
  const args = ["--port", `${port}`, "--data", resolve(data), "--client-header", "CF-Connecting-IP", ...www];
  const child = spawn(server, args, { detached: true, env: { ...process.env, ...vars }, stdio: ["ignore", "pipe", "pipe"] });
  return { child, boundPort: portOfServer(child) };
}

async function portOfServer(child) {
  for await (const line of createInterface({ input: child.stdout })) {
    const [, port] = /^neap server ready on http:.*:(\d+)$/.exec(line) ?? [];
    if (port) return Number(port);
  }
  return new Promise(() => {});
}

// A SIGKILL gives us no last moment, but it closes our end of this pipe.
function dieWithUs(pid) {
  const script = `read -r _; kill -KILL ${pid} 2>/dev/null`;
  return spawn("/bin/sh", ["-c", script], { detached: true, stdio: ["pipe", "ignore", "ignore"] });
}

// workerd tells on its control channel which port it got.
async function portOfWorkerd(child) {
  for await (const line of createInterface({ input: child.stdio[3] })) {
    const told = JSON.parse(line);
    if (told.event === "listen" && told.socket === "http") return told.port;
  }
  return new Promise(() => {});
}

async function healthy(url) {
  const deadline = Date.now() + 10_000;
  while (Date.now() < deadline) {
    const answer = await fetch(`${url}/v1/health`).catch(() => null);
    if (answer?.ok) return;
    await new Promise((done) => setTimeout(done, 20));
  }
  throw new Trouble("the relay does not answer /v1/health");
}

/** Starts a relay, prints what `ready` says of it, and keeps it until a signal, workerd's end, or npm's. */
export async function serve(options, ready) {
  const stopped = new Promise((done) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => done());
    if (process.env.npm_lifecycle_event) whenOrphaned(done);
  });
  await holdAlone(options.data);
  const relay = await startRelay({ ...options, hear: tellSettings() });
  console.log(ready(relay.url));
  const words = await Promise.race([stopped, relay.exited]);
  if (words) throw new Trouble(words);
  await relay.stop();
  process.exit(0);
}

/** Takes a data directory for this process alone: two relays over one would give the same numbers to different writes. */
async function holdAlone(data) {
  try {
    mkdirSync(data, { recursive: true });
    accessSync(data, constants.W_OK);
  } catch (error) {
    throw new Trouble(`cannot keep data in ${data}: ${error.message}`);
  }
  const name = `neap-${createHash("sha256").update(realpathSync(data)).digest("hex").slice(0, 32)}`;
  const path = join(tmpdir(), `${name}.sock`);
  const listens = () =>
    new Promise((resolve, reject) => {
      const door = createServer((visitor) => visitor.destroy());
      door.once("error", reject);
      door.listen(path, () => resolve(door.unref()));
    });
  try {
    await listens();
  } catch (error) {
    if (error.code !== "EADDRINUSE") throw error;
    const answers = new Promise((resolve) => {
      const visit = connect(path, () => resolve(true));
      visit.on("error", () => resolve(false));
      visit.unref();
    });
    if (await answers) throw new Trouble(`${data} is in use by another relay`);
    // Whoever held it was killed.
    rmSync(path, { force: true });
    await listens();
  }
}

/** Passes on what the relay has to say of its settings, which it says at each request, once. */
function tellSettings() {
  const told = new Set();
  return (line) => {
    const [complaint] = /\bNEAP_\w+ (is|has) .*/.exec(line) ?? [];
    if (complaint === undefined || told.has(complaint)) return;
    told.add(complaint);
    console.error(`neap relay: ${complaint}`);
  };
}

// npm cannot pass a SIGKILL on, and a relay that nobody owns would hold its port for ever. The scripts in
// package.json start us with `exec`, so that our parent is npm and not a shell.
function whenOrphaned(done) {
  const parent = process.ppid;
  setInterval(() => process.ppid === parent || done(), 500).unref();
}

/** The value of --port or PORT, or a Trouble. */
export function parsePort(text) {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : NaN;
  if (port <= 65535) return port;
  throw new Trouble(`a port is a number from 0 to 65535, not "${text}"`, 2);
}

const usage = "usage: npm run relay -- --port N --data DIR [--var KEY=VALUE]...";

function parse(args) {
  if (args.includes("--help")) {
    console.log(usage);
    process.exit(0);
  }
  const options = { vars: {} };
  for (let i = 0; i < args.length; i += 1) {
    const [flag, inline] = /^(--\w+)=(.*)$/s.exec(args[i])?.slice(1) ?? [args[i]];
    if (!["--port", "--data", "--var"].includes(flag)) throw new Trouble(`unknown argument ${args[i]}; ${usage}`, 2);
    const value = inline ?? args[(i += 1)];
    if (!value) throw new Trouble(`${flag} needs a value; ${usage}`, 2);
    if (flag === "--port") options.port = parsePort(value);
    else if (flag === "--data") options.data = value;
    else Object.assign(options.vars, parseVar(value));
  }
  if (options.port === undefined) throw new Trouble(`--port is missing; ${usage}`, 2);
  if (options.data === undefined) throw new Trouble(`--data is missing; ${usage}`, 2);
  return options;
}

function parseVar(text) {
  const [, name, value] = /^([A-Za-z_]\w*)=(.*)$/s.exec(text) ?? [];
  if (name === undefined) throw new Trouble(`--var wants KEY=VALUE, not "${text}"; ${usage}`, 2);
  return { [name]: value };
}

// Not a rebuild: only what a fresh clone lacks altogether.
async function prepare() {
  if (existsSync(at("node_modules", "workerd")) && existsSync(join(relayBuild, "index.js"))) return;
  const [{ setup }, { build }] = await Promise.all([import("./setup.mjs"), import("./build.mjs")]);
  await setup({ browser: false, lints: false });
  await build(["relay"]);
}

if (isMain(import.meta.url)) {
  await main("neap relay", async (args) => {
    const options = parse(args);
    await prepare();
    await serve(options, (url) => `neap relay ready on ${url}`);
  });
}
