// Brings the core to life, once for all datastores of a page.

import type { CoreConstructor } from "./core.js";
import init, { Core } from "./generated/neap_wasm.js";
import { compile } from "neap:module";

let loading: Promise<CoreConstructor> | undefined;

/** The class of cores. A failure can be tried again. */
export function loadCore(): Promise<CoreConstructor> {
  loading ??= load().catch((error: unknown) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

async function load(): Promise<CoreConstructor> {
  await init({ module_or_path: await compile() });
  return Core satisfies CoreConstructor;
}
