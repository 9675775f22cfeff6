/** On which pages the drop-in works, what it takes for a click on a card, and for an answer of leadclicksd. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Daemon } from "./support/daemon.js";
import { Site } from "./support/site.js";
import { ENGINES, type Engine, type Visitor } from "./support/visitor.js";

let site: Site;
let daemon: Daemon;

beforeAll(async () => {
  site = await Site.start();
  daemon = await Daemon.start();
  site.daemon = daemon;
});

afterAll(async () => {
  await site?.stop();
  await daemon?.remove();
});

let leads = 0;

describe.each(Object.keys(ENGINES))("in %s", (engineName) => {
  let engine: Engine;
  let visitor: Visitor;
  /** Of whom nothing is stored yet. */
  let email: string;

  beforeAll(async () => {
    engine = await (ENGINES[engineName] as () => Promise<Engine>)();
  });

  afterAll(async () => {
    await engine?.stop();
  });

  beforeEach(async () => {
    email = `lead${++leads}@example.com`;
    visitor = await engine.enter();
  });

  afterEach(async () => {
    site.outage = "none";
    await visitor.evaluate("localStorage.clear()");
    await visitor.leave();
  });

  async function open(html: string): Promise<void> {
    await visitor.goto(site.serve(`<!doctype html><title>Cards</title>${html}`));
  }

  function script(attributes = `data-email="${email}"`): string {
    return `<script defer src="/leadclicks.js" ${attributes}></script>`;
  }

  const CARD = `<article id="card" data-leadclicks-expert="jdoe"><p id="text">John Doe, CFO</p></article>`;

  /** The experts whom the lead has clicked, once there are so many. */
  async function experts(count: number, ofEmail = email): Promise<string[]> {
    const clicks = await daemon.clicksOnceThere(ofEmail, count);
    return clicks.map((click) => click.expert_username);
  }

  async function until(condition: string): Promise<void> {
    await expect.poll(() => visitor.evaluate(`return ${condition}`).catch(String)).toBe(true);
  }

  const WAITING = `Object.keys(localStorage).filter((key) => key.startsWith("leadclicks ")).length`;

  test("the visitor's cookies lose no click", async () => {
    await open(script() + CARD);
    await visitor.evaluate(
      `for (let n = 0; n < 5; n++) document.cookie = "c" + n + "=" + "x".repeat(3900) + "; path=/api"`,
    );
    await visitor.click("#text");
    expect(await experts(1)).toEqual(["jdoe"]);
    await visitor.evaluate(`for (let n = 0; n < 5; n++) document.cookie = "c" + n + "=; path=/api; max-age=0"`);
  });

  test("cards may be in open shadow roots, and have buttons in their own", async () => {
    await open(`${script()}<div id="page"></div><div id="card" data-leadclicks-expert="zoe"></div>
      <script>
        page.attachShadow({ mode: "open" }).innerHTML = '<article data-leadclicks-expert="jdoe"><p>John</p></article>';
        card.attachShadow({ mode: "open" }).innerHTML = '<p>Zoe</p><button>Bookmark</button>';
      </script>`);
    await visitor.evaluate(`card.shadowRoot.querySelector("button").click()`);
    await visitor.evaluate(`page.shadowRoot.querySelector("p").click()`);
    await visitor.evaluate(`card.shadowRoot.querySelector("p").click()`);
    expect(await experts(2)).toEqual(["jdoe", "zoe"]);
  });

  test("the script may be a module", async () => {
    await open(script(`type="module" data-email="${email}" data-endpoint="${daemon.endpoint}"`) + CARD);
    await visitor.click("#text");
    expect(await experts(1)).toEqual(["jdoe"]);
  });

  test("a tag manager that strips attributes can call for each setting", async () => {
    await open(`${script("")}${CARD}<script>
      addEventListener("load", () => {
        leadclicks.setEmail("${email}");
        leadclicks.setEndpoint("${daemon.endpoint}");
      });
    </script>`);
    const proxied = site.proxied.length;
    await visitor.click("#text");
    expect(await experts(1)).toEqual(["jdoe"]);
    expect(site.proxied).toHaveLength(proxied);
  });

  test.each(["", `type="module"`])("the newest of the script's tags counts (%s)", async (type) => {
    await open(`<div id="body">${script(`${type} data-email="old@example.com"`)}${CARD}</div>`);
    const tag = `const tag = document.createElement("script");
      tag.src = "/leadclicks.js";
      tag.type = "${type && "module"}";
      tag.dataset.email = "${email}";`;
    await visitor.evaluate(`document.querySelector("#body script").remove(); ${tag} document.body.append(tag);`);
    await visitor.click("#text");
    expect(await experts(1)).toEqual(["jdoe"]);
  });

  test("a card may be in a frame in a sandbox", async () => {
    const style = `<style>html, body, article { height: 100%; margin: 0 }</style>`;
    const frame = site.serve(`<!doctype html><title>Frame</title>${style}${script()}${CARD}`);
    await open(`<iframe id="frame" sandbox="allow-scripts" src="${frame}" width="400" height="300"></iframe>`);
    await visitor.click("#frame");
    expect(await experts(1)).toEqual(["jdoe"]);
  });

  test("controls and selected text in a card are not clicks on it, but links are", async () => {
    await open(`${script()}
      <article data-leadclicks-expert="jdoe">
        <button class="control">Bookmark</button>
        <input class="control">
        <label class="control">Compare</label>
        <select class="control"><option>EUR</option></select>
        <details><summary class="control">More</summary></details>
        <textarea class="control"></textarea>
        <span class="control" role="button">Call</span>
        <p class="control" contenteditable>Notes</p>
        <video class="control" width="20" height="20"></video>
        <p id="text">John Doe, CFO</p>
        <a id="link" href="#profile">Profile</a>
      </article>`);
    // So that no click passes for the repetition of another.
    const search = (query: string) => `document.querySelector("article").dataset.leadclicksQuery = ${query};`;
    await visitor.evaluate(
      `for (const control of document.querySelectorAll(".control")) { ${search("control.outerHTML")} control.click() }`,
    );
    await visitor.evaluate(`${search("'selected'")} getSelection().selectAllChildren(text); text.click()`);
    await visitor.evaluate(search("'link'"));
    await visitor.click("#link");
    await visitor.evaluate(`${search("'text'")} getSelection().removeAllRanges()`);
    await visitor.click("#text");
    const clicks = await daemon.clicksOnceThere(email, 2);
    expect(clicks.map((click) => click.search_query)).toEqual(["link", "text"]);
  });

  test("ten clicks of 8 KB that leave the page are ten rows once a page is loaded", async () => {
    const usernames = Array.from({ length: 10 }, (_, n) => `e${n}`);
    const card = (name: string) =>
      `<p id="${name}" data-leadclicks-expert="${name}" data-leadclicks-query="${"\u{1f600}".repeat(2000)}">${name}</p>`;
    await open(script() + usernames.map(card).join(""));
    site.answerDelayMs = 300;
    await visitor.evaluate(
      `document.querySelectorAll("[data-leadclicks-expert]").forEach((card) => card.click()); location.assign("/left")`,
    );
    await until(`location.pathname === "/left"`);
    site.answerDelayMs = 0;
    await open(script());
    await until(`${WAITING} === 0`);
    expect((await experts(10)).sort()).toEqual(usernames);
  });

  test("a login page instead of the answer keeps the click", async () => {
    await open(script() + CARD);
    site.outage = { status: 302, afterMs: 0, headers: { Location: "/login" } };
    await visitor.click("#text");
    await expect.poll(() => site.served).toContain("/login");
    site.served.length = 0;
    expect(await visitor.evaluate(`return ${WAITING}`)).toBe(1);
    site.outage = "none";
    await open(script());
    expect(await experts(1)).toEqual(["jdoe"]);
    await until(`${WAITING} === 0`);
  });

  // Firefox keeps such posts from service workers.
  test.skipIf(engineName === "Firefox")(
    "a service worker's offline page instead of the answer keeps the click",
    async () => {
      site.serveScript(
        "/worker.js",
        `addEventListener("activate", (event) => event.waitUntil(clients.claim()));
       addEventListener("fetch", (event) => {
         if (event.request.url.includes("/api/")) event.respondWith(new Response("You are offline"));
       });`,
      );
      await open(script() + CARD);
      await visitor.evaluate(`navigator.serviceWorker.register("/worker.js")`);
      await until("navigator.serviceWorker.controller !== null");
      await visitor.evaluate(`localStorage.leadclicksDebug = "yes"; console.log = (text) => (document.title = text)`);
      await visitor.click("#text");
      await until(`document.title.startsWith("leadclicks 200 http")`);
      expect(await visitor.evaluate(`return ${WAITING}`)).toBe(1);
      await visitor.evaluate(
        `navigator.serviceWorker.getRegistration().then((worker) => worker.unregister()).then(() => (document.title = "gone"))`,
      );
      await until(`document.title === "gone"`);
      await open(script());
      expect(await experts(1)).toEqual(["jdoe"]);
      await until(`${WAITING} === 0`);
    },
  );

  // Only Chromium loads pages ahead.
  test.runIf(engineName === "Chromium")("a page that is loaded ahead sends nothing until it is shown", async () => {
    await open(script() + CARD);
    site.outage = { status: 503, afterMs: 0 };
    const proxied = site.proxied.length;
    await visitor.click("#text");
    await expect.poll(() => site.proxied.length).toBe(proxied + 1);
    site.outage = "none";
    const ahead = new URL(site.serve(`<!doctype html><title>Ahead</title>${script()}`)).pathname;
    const rules = JSON.stringify({ prerender: [{ urls: [ahead], eagerness: "immediate" }] });
    const other = site.serve(`<!doctype html><title>Rules</title><script type="speculationrules">${rules}</script>`);
    await visitor.goto(other);
    await expect.poll(() => site.served).toContain(ahead);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(site.proxied).toHaveLength(proxied + 1);
    await visitor.evaluate(`location.assign("${ahead}")`);
    await until(
      `location.pathname === "${ahead}" && performance.getEntriesByType("navigation")[0].activationStart > 0`,
    );
    expect(await experts(1)).toEqual(["jdoe"]);
    await until(`${WAITING} === 0`);
  });
});
