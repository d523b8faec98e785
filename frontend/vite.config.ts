import { defineConfig } from "vite";

// The bundle is committed, so that nobody needs Node to use the page: one script, one style sheet.
export default defineConfig({
  build: {
    outDir: "../src/mediround/server/static",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
  },
  server: { proxy: { "/v1": "http://127.0.0.1:8000", "/healthz": "http://127.0.0.1:8000" } },
});
