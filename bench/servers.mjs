// Servers of catch-up, each in a process of its own that holds the records.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { at, bin, Trouble } from "../tools/house.mjs";

/** Starts them one after the other, each with `held(name)` records; `urls` says where they are, `end` ends them. */
export async function servers(names, held) {
  const processes = [];
  const end = () => processes.forEach((one) => one.kill());
  const urls = {};
  try {
    for (const name of names) {
      const one = spawn(join(bin, "node"), [at("bench", "catchup.mjs"), "serve", name, `${held(name)}`], { stdio: ["ignore", "pipe", "inherit"] });
      processes.push(one);
      const gone = once(one, "exit").then(() => {
        throw new Trouble(`the server of ${name} ended`);
      });
      gone.catch(() => {});
      urls[name] = String((await Promise.race([once(one.stdout, "data"), gone]))[0]).trim();
    }
  } catch (error) {
    end();
    throw error;
  }
  return { urls, end };
}
