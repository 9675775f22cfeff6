import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Daemon } from "./daemon.js";
import { EXPERTS } from "./experts.js";

const PAGE_DIR = fileURLToPath(new URL("../../../node_modules/.cache/front-door", import.meta.url));
const DIST_DIR = fileURLToPath(new URL("../../../dist", import.meta.url));

/** The files that pages load. */
const FILES: Record<string, [path: string, contentType: string]> = {
  "/leadclicks.js": [join(DIST_DIR, "leadclicks.js"), "text/javascript"],
  "/react.js": [join(PAGE_DIR, "react.js"), "text/javascript"],
  "/react.css": [join(PAGE_DIR, "react.css"), "text/css"],
};

/** A page with the cards of {@link EXPERTS}. */
export interface PageSettings {
  /** With the React components, or with the drop-in. */
  kind: "react" | "plain";
  email?: string;
  query?: string;
  /** Where clicks go; the daemon's path on the page's own origin, by the site's proxy, without it. */
  endpoint?: string;
  /** A content security policy. */
  csp?: string;
  /** Keeps all of the browser's connections to the site busy, so that a post has to wait for one. */
  isBusy?: boolean;
  /** Closes itself as soon as a card was clicked. */
  closesOnClick?: boolean;
}

/** A web site on loopback that has such pages, and a proxy before the daemon. */
export class Site {
  readonly #server: Server;
  readonly #pages = new Map<string, string>();
  /** The daemon behind the proxy. */
  daemon: Daemon | undefined;
  /** The method and the content type of each request that the proxy was sent. */
  readonly proxied: string[] = [];
  /** How long the proxy keeps an answer back. */
  answerDelayMs = 0;

  private constructor() {
    this.#server = createServer((message, response) => {
      this.#answer(message, response).catch((error) => response.destroy(error));
    });
  }

  static async start(): Promise<Site> {
    const site = new Site();
    site.#server.listen(0, "127.0.0.1");
    await once(site.#server, "listening");
    return site;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The address of a page with this HTML. */
  serve(html: string): string {
    const path = `/pages/${this.#pages.size}`;
    this.#pages.set(path, html);
    return this.origin + path;
  }

  /** The address of a page. */
  page(settings: PageSettings): string {
    return `${this.origin}/?${new URLSearchParams({ settings: JSON.stringify(settings) })}`;
  }

  async #answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(message.url ?? "/", this.origin);
    if (url.pathname === "/api/lead-clicks") return this.#forward(message, response);
    // Answered never: it occupies a connection.
    if (url.pathname === "/slow") return;
    const file = FILES[url.pathname];
    if (file) {
      const [path, contentType] = file;
      response.setHeader("Content-Type", contentType).end(await readFile(path));
      return;
    }
    const settings: PageSettings | null = JSON.parse(url.searchParams.get("settings") ?? "null");
    response.setHeader("Content-Type", "text/html; charset=utf-8");
    if (settings?.csp) response.setHeader("Content-Security-Policy", settings.csp);
    const other = this.#pages.get(url.pathname) ?? `<!doctype html><title>${escapeHtml(url.pathname)}</title>`;
    response.end(settings ? pageHtml(settings) : other);
  }

  /** As nginx would: 502 if the daemon is down. */
  #forward(message: IncomingMessage, response: ServerResponse): void {
    const { method = "", headers } = message;
    this.proxied.push(`${method} ${headers["content-type"]}`);
    const forwarded = request(this.daemon?.endpoint ?? "", { method, headers }, (answer) => {
      setTimeout(() => {
        response.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(response);
      }, this.answerDelayMs);
    });
    forwarded.on("error", () => setTimeout(() => response.writeHead(502).end(), this.answerDelayMs));
    message.pipe(forwarded);
  }
}

/** Browsers open six connections to a site. */
const BUSY = `<script>
  addEventListener("load", () => {
    for (let connection = 0; connection < 6; connection++) fetch("/slow?" + connection).catch(() => {});
    document.body.dataset.busy = "";
  });
</script>`;

function pageHtml(settings: PageSettings): string {
  const { kind, email, query, endpoint, isBusy, closesOnClick } = settings;
  const attribute = (name: string, value: string | undefined) =>
    value === undefined ? "" : ` ${name}="${escapeHtml(value)}"`;
  const cards = EXPERTS.map(
    (username) => `
      <article id="${username}"${attribute("data-leadclicks-expert", username)}${attribute("data-leadclicks-query", query)}>
        <h3><a href="/experts/${username}">${username}</a></h3>
        <button type="button"><b>Bookmark</b></button>
        <a data-leadclicks-expert="" href="/companies/${username}">Company</a>
      </article>`,
  );
  return `<!doctype html>
    <html lang="en">
      <meta charset="utf-8">
      <title>Cards</title>
      <script>
        // As analytics do. Between two such listeners promises go on.
        addEventListener("pagehide", () => {}, true);
      </script>
      <style>a { display: inline-block; padding: 4px }</style>
      ${
        kind === "plain"
          ? `<script defer src="/leadclicks.js"${attribute("data-endpoint", endpoint)}${attribute("data-email", email)}></script>
             ${cards.join("")}`
          : `<link rel="stylesheet" href="/react.css">
             <script type="module" src="/react.js"></script>
             <div id="root"${attribute("data-settings", JSON.stringify(settings))}></div>`
      }
      ${isBusy ? BUSY : ""}
      ${closesOnClick ? `<script>addEventListener("click", () => close())</script>` : ""}
    </html>`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
