// The peers' packages, which nobody but the benchmarks installs: node bench/peers.mjs

import { existsSync, readFileSync } from "node:fs";
import { at, bareEnvironment, isMain, main, run } from "../tools/house.mjs";

/** Installs the peers when their lock file asks for others than are there. */
export async function installPeers() {
  const hidden = at("bench", "node_modules", ".package-lock.json");
  const have = existsSync(hidden) ? JSON.parse(readFileSync(hidden, "utf8")).packages : {};
  const want = Object.entries(JSON.parse(readFileSync(at("bench", "package-lock.json"), "utf8")).packages);
  if (want.every(([path, p]) => !path || p.optional || p.peer || have[path]?.version === p.version)) return;
  console.log("bench: installing the peers (npm ci in bench/)");
  await run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: at("bench"), env: bareEnvironment() });
}

if (isMain(import.meta.url)) await main("bench", installPeers);
