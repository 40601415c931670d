// Brings the core to life, once for all datastores of a page.

import type { CoreConstructor } from "./core.js";
import { Core, initSync, type InitOutput } from "./generated/neap_wasm.js";
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

let exports: InitOutput | undefined;
let known = 0;

async function load(): Promise<CoreConstructor> {
  exports = initSync({ module: await compile() });
  known = exports.memory.buffer.byteLength;
  return Core satisfies CoreConstructor;
}

/** Least bytes by which linear memory grows. */
const ROOM = 1024 * 1024;

/**
 * Lets linear memory grow in strides. Rust asks for 64 KiB at a time, and each time engines count the whole
 * memory as newly allocated: with a hundred thousand pending mutations that made them collect
 * garbage without end. What is asked for and given back at once stays with the allocator, untouched.
 */
export function makeRoom(): void {
  if (!exports || exports.memory.buffer.byteLength === known) return;
  const bytes = Math.max(ROOM, exports.memory.buffer.byteLength >>> 3);
  exports.__wbindgen_free(exports.__wbindgen_malloc(bytes, 1), bytes, 1);
  known = exports.memory.buffer.byteLength;
}
