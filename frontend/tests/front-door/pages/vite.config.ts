import { defineConfig } from "vite";

/** Builds the tests' own page, which uses the package as it was built. */
export default defineConfig({
  build: {
    outDir: "../../../node_modules/.cache/front-door",
    emptyOutDir: true,
    lib: { entry: "react.tsx", formats: ["es"], fileName: "react", cssFileName: "react" },
  },
  define: { "process.env.NODE_ENV": '"production"' },
});
