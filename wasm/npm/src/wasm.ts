// The core's module, compiled once for all datastores of a page.

import { compile } from "neap:module";

let compiling: Promise<WebAssembly.Module> | undefined;

/** The module. A failure can be tried again. */
export function loadModule(): Promise<WebAssembly.Module> {
  compiling ??= compile().catch((error: unknown) => {
    compiling = undefined;
    throw error;
  });
  return compiling;
}
