// What `build.mjs` puts in the place of these names.

declare module "neap:module" {
  /** Compiles the core's wasm. */
  export function compile(): Promise<WebAssembly.Module>;
}

declare module "neap:bytes" {
  /** The wasm, by raw deflate, in base64. */
  export const deflated: string;
}

declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}
