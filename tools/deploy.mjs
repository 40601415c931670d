// Puts relay and demo onto Cloudflare: `npm run deploy [-- --dry-run]`; all arguments go to `wrangler deploy`.

import { join } from "node:path";
import { build } from "./build.mjs";
import { at, bin, environment, main, run } from "./house.mjs";
import { setup } from "./setup.mjs";

await main("deploy", async (args) => {
  await setup({ browser: false, lints: false });
  await build();
  // A dry run must not wait for a network that may not be there.
  const env = environment(args.includes("--dry-run") ? { WRANGLER_SEND_METRICS: "false", CLOUDFLARE_CF_FETCH_ENABLED: "false" } : {});
  await run(join(bin, "node"), [join(bin, "wrangler"), "deploy", ...args], { cwd: at("worker"), env, stdio: "inherit" });
});
