import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
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
  /** The effect of a click on a link: follow it, also in a new window, or after 100 ms by a script, or never. */
  leaving?: "at once" | "after 100 ms" | "staying" | "new window";
  /** How much the clock of the page goes ahead. */
  clockMs?: number;
  /** Uses up the site's quota of storage. */
  isFull?: boolean;
}

/** The fault between the page and the daemon. */
export type Outage =
  | "none"
  /** The proxy itself answers, after so long. */
  | { status: number; afterMs: number; headers?: Record<string, string> }
  /** The daemon stores the click, and the page hears something else or nothing. */
  | "stored, but answered 504"
  | "stored, but the connection cut";

/** A web site on loopback that has such pages, and a proxy before the daemon. */
export class Site {
  readonly #server: Server;
  readonly #pages = new Map<string, string>();
  readonly #scripts = new Map<string, string>();
  /** The daemon behind the proxy. */
  daemon: Daemon | undefined;
  /** The method and the content type of each request that the proxy was sent. */
  readonly proxied: string[] = [];
  /** The path of each page that was asked for. */
  readonly served: string[] = [];
  /** How long the proxy keeps an answer back. */
  answerDelayMs = 0;
  outage: Outage = "none";
  /** The `click_id`s of which the daemon has said that they are stored. */
  readonly accepted = new Set<string>();
  #port = 0;

  private constructor() {
    this.#server = createServer((message, response) => {
      this.#answer(message, response).catch((error) => response.destroy(error));
    });
  }

  static async start(): Promise<Site> {
    const site = new Site();
    await site.resume();
    return site;
  }

  /** Listens at the same address again after it was stopped. */
  async resume(): Promise<void> {
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  get origin(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** The address of a page with this HTML. */
  serve(html: string): string {
    const path = `/pages/${this.#pages.size}`;
    this.#pages.set(path, html);
    return this.origin + path;
  }

  serveScript(path: string, script: string): void {
    this.#scripts.set(path, script);
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
    const script = this.#scripts.get(url.pathname);
    if (script !== undefined) {
      response.setHeader("Content-Type", "text/javascript").end(script);
      return;
    }
    this.served.push(url.pathname);
    const settings: PageSettings | null = JSON.parse(url.searchParams.get("settings") ?? "null");
    response.setHeader("Content-Type", "text/html; charset=utf-8");
    if (settings?.csp) response.setHeader("Content-Security-Policy", settings.csp);
    const other = this.#pages.get(url.pathname) ?? `<!doctype html><title>${escapeHtml(url.pathname)}</title>`;
    response.end(settings ? pageHtml(settings) : other);
  }

  /** As nginx would: 502 if the daemon is down. */
  async #forward(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "", headers } = message;
    this.proxied.push(`${method} ${headers["content-type"]}`);
    const { outage } = this;
    if (typeof outage === "object") {
      message.resume();
      setTimeout(
        () => response.writeHead(outage.status, outage.headers ?? { "Retry-After": "1" }).end(),
        outage.afterMs,
      );
      return;
    }
    const body = await buffer(message);
    const forwarded = request(this.daemon?.endpoint ?? "", { method, headers }, async (answer) => {
      const answered = await buffer(answer);
      if (answer.statusCode === 202) this.accepted.add(JSON.parse(String(body)).click_id);
      setTimeout(() => {
        if (outage === "stored, but the connection cut") response.destroy();
        else if (outage === "stored, but answered 504") response.writeHead(504).end();
        else response.writeHead(answer.statusCode ?? 500, answer.headers).end(answered);
      }, this.answerDelayMs);
    });
    forwarded.on("error", () => setTimeout(() => response.writeHead(502).end(), this.answerDelayMs));
    forwarded.end(body);
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
  const { kind, email, query, endpoint, isBusy, closesOnClick, leaving, clockMs, isFull } = settings;
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
        ${clockMs ? `const now = Date.now; Date.now = () => now() + ${clockMs};` : ""}
        ${isFull ? `(${fillStorage})();` : ""}
        ${leaving ? `addEventListener("click", (event) => (${leave})(event, ${JSON.stringify(leaving)}));` : ""}
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

/** Runs in the page. */
function fillStorage(): void {
  for (let length = 2 ** 20; length >= 1; length /= 2) {
    try {
      for (;;) localStorage.setItem(`full${Object.keys(localStorage).length}`, "x".repeat(length));
    } catch {
      // Less may fit yet.
    }
  }
}

/** Runs in the page. */
function leave(event: MouseEvent, leaving: PageSettings["leaving"]): void {
  const link = (event.target as Element).closest("a");
  if (!link || leaving === "at once") return;
  event.preventDefault();
  if (leaving === "after 100 ms") setTimeout(() => location.assign(link.href), 100);
  if (leaving === "new window") open(link.href, "_blank", "width=600,height=600");
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
