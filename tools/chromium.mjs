// The one Chromium of all browser tests: where it is, and how it is started.

import { existsSync } from "node:fs";
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
