import { defineConfig } from "vite";

/** Builds the package's ES modules; its type declarations come from tsc. */
export default defineConfig({
  build: {
    lib: {
      entry: { index: "src/index.ts", react: "src/react.ts" },
      formats: ["es"],
    },
    minify: false,
    sourcemap: true,
    rolldownOptions: {
      external: /^(react|react-dom|zustand)(\/|$)/,
      // For frameworks that render on a server what does not say so.
      output: { banner: ({ name }) => (name === "react" ? '"use client";' : "") },
    },
  },
});
