import { defineConfig } from "vite";
import { VitePWA } from "vite-plugin-pwa";

export default defineConfig({
  build: { target: "es2022", sourcemap: true, modulePreload: { polyfill: false } },
  plugins: [
    VitePWA({
      registerType: "autoUpdate",
      includeAssets: ["icon.svg"],
      includeManifestIcons: false,
      manifest: {
        id: "/",
        name: "neap task board",
        short_name: "neap",
        description: "A shared task board that keeps working with no network.",
        start_url: "/",
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
        navigateFallbackDenylist: [/^\/v1/],
        cleanupOutdatedCaches: true,
        globPatterns: ["**/*.{html,js,css,wasm}"],
      },
    }),
  ],
});
