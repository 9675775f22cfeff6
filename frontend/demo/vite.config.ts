import { defineConfig } from "vite";

/** The daemon's own variable and default, so that both are set alike. */
const daemon = process.env.LEADCLICKS_LISTEN ?? "127.0.0.1:8787";

/** The demo page. As on a real site, a proxy on the page's own origin stands before the daemon. */
export default defineConfig({
  server: { port: 5173, strictPort: true, proxy: { "/api/lead-clicks": `http://${daemon}` } },
});
