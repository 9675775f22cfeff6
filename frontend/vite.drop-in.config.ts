import { gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

/** So that nobody has to think about whether a page can afford the script. */
const GZIPPED_BYTES_MAX = 1536;

function staysSmall(): Plugin {
  return {
    name: "leadclicks-stays-small",
    generateBundle(_, bundle) {
      for (const output of Object.values(bundle)) {
        if (output.type !== "chunk") continue;
        // bin/notices says so.
        const foreign = output.moduleIds.filter((id) => id.includes("node_modules"));
        if (foreign.length > 0) this.error(`${output.fileName} contains code of others: ${foreign.join(", ")}`);
        const bytes = gzipSync(output.code).byteLength;
        this.info(`${output.fileName} has ${bytes} bytes gzipped, of ${GZIPPED_BYTES_MAX}`);
        if (bytes >= GZIPPED_BYTES_MAX) {
          this.error(`${output.fileName} has ${bytes} bytes gzipped; it must stay under ${GZIPPED_BYTES_MAX}`);
        }
      }
    },
  };
}

/** Builds the drop-in for pages without a framework: one classic script without dependencies. */
export default defineConfig({
  build: {
    emptyOutDir: false,
    lib: { entry: "src/dropIn.ts", formats: ["iife"], name: "leadclicks", fileName: () => "leadclicks.js" },
    target: "es2020",
    minify: "terser",
    terserOptions: {
      compress: {
        passes: 2,
        unsafe: true,
        unsafe_comps: true,
        hoist_funs: true,
        booleans_as_integers: true,
        conditionals: false,
        sequences: false,
      },
      ecma: 2020,
    },
  },
  // This one never runs on a server.
  define: { "typeof window": '"object"' },
  plugins: [staysSmall()],
});
