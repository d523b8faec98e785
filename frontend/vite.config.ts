import { readFileSync } from "node:fs";

import { defineConfig, type Plugin } from "vite";

/** The style sheet goes into the page: one request less before the first paint. */
function inlineStyle(): Plugin {
  return {
    name: "inline-style",
    enforce: "post",
    generateBundle(_, bundle) {
      const page = bundle["index.html"];
      for (const [name, file] of Object.entries(bundle)) {
        if (!name.endsWith(".css") || file.type !== "asset" || page?.type !== "asset") continue;
        const link = new RegExp(`<link rel="stylesheet"[^>]*${name}"[^>]*>`);
        const style = `<style>${String(file.source).trim()}</style>`;
        page.source = String(page.source).replace(link, () => style);
        delete bundle[name];
      }
    },
  };
}

/** The licence of NiiVue, whose package brings no text for the bundler's list. */
function niivueLicence(): Plugin {
  const source = readFileSync(new URL("licences/niivue.txt", import.meta.url), "utf8");
  return {
    name: "niivue-licence",
    generateBundle() {
      this.emitFile({ type: "asset", fileName: "assets/licence-niivue.txt", source });
    },
  };
}

// The bundle is committed, so that nobody needs Node to use the page.
export default defineConfig({
  plugins: [inlineStyle(), niivueLicence()],
  resolve: { alias: { zarrita: new URL("src/space/zarr.ts", import.meta.url).pathname } },
  build: {
    license: { fileName: "assets/licences.md" },
    chunkSizeWarningLimit: 1000,
    outDir: "../src/mediround/server/static",
    emptyOutDir: true,
    target: "es2022",
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
  },
  server: { proxy: { "/v1": "http://127.0.0.1:8000", "/healthz": "http://127.0.0.1:8000" } },
});
