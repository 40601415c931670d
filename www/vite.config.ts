import { readFileSync } from "node:fs";
import { defineConfig, type Plugin } from "vite";
import { VitePWA } from "vite-plugin-pwa";
import { page } from "./src/bench/page.ts";

/** Writes the benchmarks' results into their page, which so needs no script. */
function benchPage(): Plugin {
  const results = new URL("../bench/results.json", import.meta.url);
  return {
    name: "bench page",
    transformIndexHtml: {
      order: "pre",
      handler: (html, { path }) => (path.endsWith("bench.html") ? html.replace("<!-- results -->", () => page(JSON.parse(readFileSync(results, "utf8")))) : html),
    },
  };
}

export default defineConfig({
  build: { target: "es2022", sourcemap: true, modulePreload: { polyfill: false }, rolldownOptions: { input: ["index.html", "bench.html"] } },
  plugins: [
    benchPage(),
    VitePWA({
      registerType: "autoUpdate",
      includeAssets: ["icon.svg"],
      includeManifestIcons: false,
      manifest: {
        id: "/",
        name: "neap task board",
        short_name: "neap",
        description: "A shared task board that keeps working with no network.",
        start_url: "/?last",
        scope: "/",
        display: "standalone",
        background_color: "#f2f6f3",
        theme_color: "#f2f6f3",
        icons: [
          { src: "icon.svg", sizes: "any", type: "image/svg+xml" },
          { src: "icon-192.png", sizes: "192x192", type: "image/png" },
          { src: "icon-512.png", sizes: "512x512", type: "image/png" },
          { src: "icon-maskable.png", sizes: "512x512", type: "image/png", purpose: "maskable" },
        ],
      },
      workbox: {
        navigateFallback: "/index.html",
        navigateFallbackDenylist: [/^\/v1/, /^\/bench/],
        cleanupOutdatedCaches: true,
        globPatterns: ["**/*.{html,js,css,wasm}"],
        // Whoever opens the board has not asked for the benchmarks.
        globIgnores: ["bench.html", "assets/bench-*"],
      },
    }),
  ],
});
