// `npm run deploy` as far as it goes without an account: what would be uploaded, and how large it is.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { environment, root } from "../../tools/house.mjs";

test("npm run deploy -- --dry-run bundles relay and demo, and fits the free plan", async (t) => {
  const { stdout } = await promisify(execFile)("npm", ["run", "deploy", "--", "--dry-run"], { cwd: root, env: environment({ CI: "true" }) });
  const [, raw, gzip] = /Total Upload: ([\d.]+) KiB \/ gzip: ([\d.]+) KiB/.exec(stdout) ?? [];
  assert(gzip, stdout);
  t.diagnostic(`${raw} KiB to upload, ${gzip} KiB gzipped`);
  // 3 MB gzipped is the most that a free plan takes.
  assert(Number(gzip) < 3_000);
  for (const part of [/env\.DATASTORES/, /Read \d+ files? from the assets directory/]) assert.match(stdout, part);
});
