// `npm start`: from a fresh clone to the board in a browser. Sets up, builds what is stale, serves.

import { build } from "./build.mjs";
import { main } from "./house.mjs";
import { parsePort, serve } from "./relay.mjs";
import { setup } from "./setup.mjs";

await main("neap", async () => {
  const port = parsePort(process.env.PORT || "8787");
  const data = process.env.NEAP_DATA || ".neap";
  await setup({ browser: false, lints: false });
  await build();
  await serve({ port, data }, (url) => `Neap is running on ${url}`);
});
