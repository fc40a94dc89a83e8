import { defineConfig } from "vite";
import { engineVersion, pack } from "./tools/pack.ts";

export default defineConfig({
  base: "./",
  define: { __WLLAMA__: JSON.stringify(engineVersion()) },
  build: {
    outDir: process.env["PENJING_WEB_OUT"] ?? "../src/penjing/data/web",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0, // nothing inline: the policy of the page forbids data: scripts and styles
    reportCompressedSize: false,
    rollupOptions: {
      input: { page: "index.html", sw: "src/offline/sw.ts" },
      output: {
        // A service worker keeps its name, or browsers would never find the next one.
        entryFileNames: (chunk) => (chunk.name === "sw" ? "sw.js" : "assets/[name]-[hash].js"),
        chunkFileNames: "assets/[name]-[hash].js",
        assetFileNames: "assets/[name]-[hash][extname]",
      },
    },
  },
  worker: { format: "es", rollupOptions: { output: { entryFileNames: "assets/[name]-[hash].js" } } },
  plugins: [pack()],
});
