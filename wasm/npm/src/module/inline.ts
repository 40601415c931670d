// The wasm as this file carries it: raw deflate in base64, a third smaller than base64 alone.

import { deflated } from "neap:bytes";
import { fromBase64 } from "../base64.js";

export async function compile(): Promise<WebAssembly.Module> {
  return WebAssembly.compile(await inflate(fromBase64(deflated)));
}

/** Without a Response, for which Node would load all of its fetch. */
async function inflate(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new DecompressionStream("deflate-raw");
  const writer = stream.writable.getWriter();
  // What fails here fails the reading too.
  writer.write(bytes).catch(() => {});
  writer.close().catch(() => {});
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = stream.readable.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    chunks.push(part.value);
    length += part.value.length;
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
