// The one Chromium of all browser tests: where it is, and how it is started.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { onPath } from "./house.mjs";

export const chromiumHint = "no Chromium for the tests: install chromium, or set NEAP_CHROMIUM to its path";

/** The path of a Chromium, or null. */
export function findChromium() {
  const named = process.env.NEAP_CHROMIUM;
  if (named) return existsSync(named) ? named : null;
  const mac = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";
  return onPath("chromium", "chromium-browser", "google-chrome", "google-chrome-stable") ?? (existsSync(mac) ? mac : null);
}

// Headless, as root too, and silent towards the network: a test talks to this machine only.
const flags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Starts a headless Chromium; `options` are playwright's launch options. Close it when done. */
export async function launch(options = {}) {
  const executablePath = findChromium();
  if (!executablePath) throw new Error(chromiumHint);
  const { chromium } = await import("playwright-core");
  return chromium.launch({ executablePath, headless: true, args: flags, ...options });
}

/**
 * Starts a headless Chromium on the profile in `dir`, which outlives it. `kill` ends it and all its processes as a power
 * cut would, and resolves when it is gone; then the same `dir` can be started again.
 */
export async function launchProfile(dir) {
  const { chromium } = await import("playwright-core");
  const { url, kill } = await spawnProfile(dir);
  try {
    const browser = await chromium.connectOverCDP(url);
    return { browser, context: browser.contexts()[0], kill };
  } catch (error) {
    await kill();
    throw error;
  }
}

/** The same with nobody connected: gives the address of its DevTools protocol. */
export async function spawnProfile(dir) {
  const executablePath = findChromium();
  if (!executablePath) throw new Error(chromiumHint);
  const own = ["--headless=new", "--remote-debugging-port=0", "--no-default-browser-check", `--user-data-dir=${dir}`, "about:blank"];
  const child = spawn(executablePath, [...flags, ...own], { detached: true, stdio: ["ignore", "ignore", "pipe"] });
  const exited = new Promise((done) => child.once("exit", done));
  // It would outlive a test that is killed itself.
  const watcher = spawn("/bin/sh", ["-c", `read -r _; kill -KILL -${child.pid} 2>/dev/null`], { detached: true, stdio: ["pipe", "ignore", "ignore"] });
  void exited.then(() => watcher.kill("SIGKILL"));
  const lines = createInterface({ input: child.stderr });
  const kill = async () => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid, "SIGKILL");
    await exited;
  };
  const endpoint = new Promise((resolve) => {
    lines.on("line", (line) => {
      const [, url] = /^DevTools listening on (ws:.*)$/.exec(line) ?? [];
      if (url) resolve(url);
    });
  });
  try {
    const url = await Promise.race([endpoint, exited.then((code) => Promise.reject(new Error(`Chromium ended with ${code}`)))]);
    return { url, kill };
  } catch (error) {
    await kill();
    throw error;
  }
}
