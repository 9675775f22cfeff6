import type { Browser, Page } from "puppeteer-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openBrowser } from "./support/browsers.js";
import { Daemon } from "./support/daemon.js";
import { readmeBlocks } from "./support/readme.js";
import { Site } from "./support/site.js";

let site: Site;
let daemon: Daemon;
let browser: Browser;

beforeAll(async () => {
  site = await Site.start();
  daemon = await Daemon.start("--allow-origin", site.origin);
  site.daemon = daemon;
  browser = await openBrowser("chrome");
});

afterAll(async () => {
  await browser?.close();
  await site?.stop();
  await daemon?.remove();
});

async function open(html: string): Promise<Page> {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  await page.goto(site.serve(html));
  return page;
}

async function follow(page: Page, selector: string): Promise<void> {
  await Promise.all([page.waitForNavigation(), page.click(selector)]);
}

test("README's page works unchanged", async () => {
  const [html = ""] = readmeBlocks("html");
  expect(html).toContain("https://leads.example.com/api/lead-clicks");
  const page = await open(
    html
      .replace("https://leads.example.com/api/lead-clicks", daemon.endpoint)
      .replace("https://fairmark.example.com", ""),
  );
  const address = page.url();
  const link = "a[href='/experts/jdoe']";

  await follow(page, link);
  await page.goto(address);
  await page.type("[name=email]", "jane@example.com");
  await page.click("#gate button");
  await page.click("article button");
  await follow(page, "article > a");
  await page.goto(address);
  await follow(page, link);
  expect(await daemon.clicksOnceThere("jane@example.com", 1)).toEqual([
    { email: "jane@example.com", expert_username: "jdoe", search_query: "pricing" },
  ]);

  // The visitor says no, then yes, and is forgotten in the end.
  for (const call of ["optOut()", "optIn()", "setEmail(null)"]) {
    await page.goto(address);
    await page.evaluate(`leadclicks.${call}`);
    await follow(page, link);
    if (call === "optIn()") await daemon.clicksOnceThere("jane@example.com", 2);
  }
  await page.goto(address);
  await page.evaluate("leadclicks.setEmail('max@example.com')");
  await follow(page, link);
  await daemon.clicksOnceThere("max@example.com", 1);
  expect(await daemon.clicksOf("jane@example.com")).toHaveLength(2);
});

test("a click from another origin counts once even without configured origins", async () => {
  const openDaemon = await Daemon.start();
  try {
    const page = await open(`<!doctype html><title>Cards</title>
      <script id="leadclicks" defer src="/leadclicks.js" data-endpoint="${openDaemon.endpoint}" data-email="a@example.com"></script>
      <a href="/experts/jdoe" data-leadclicks-expert="jdoe">John</a>`);
    const address = page.url();
    for (const count of [1, 2]) {
      await page.evaluate(() => addEventListener("click", (event) => event.preventDefault()));
      const answer = page.waitForResponse(openDaemon.endpoint);
      await page.click("a");
      expect((await answer).status()).toBe(202);
      await page.goto(address);
      expect(await openDaemon.clicksOnceThere("a@example.com", count)).toHaveLength(count);
    }
  } finally {
    await openDaemon.remove();
  }
});

test("a page may include the script twice, stop the event, and nest any elements in a card", async () => {
  const script = `<script defer src="/leadclicks.js" data-email="nested@example.com"></script>`;
  const page = await open(`<!doctype html><title>Cards</title>${script}${script}
    <div id="card" data-leadclicks-expert="jdoe" onclick="event.stopPropagation()">
      <p id="text">Text</p>
      <label id="label"><input id="input" type="checkbox"> Compare</label>
      <button id="button"><svg id="icon" width="20" height="20"></svg></button>
      <span id="off" data-leadclicks-expert="">Off</span>
    </div>
    <button id="whole" data-leadclicks-expert="zoe">Zoë</button>
    <p id="outside">Outside</p>`);
  for (const id of ["label", "input", "button", "icon", "off", "outside", "text", "whole"]) await page.click(`#${id}`);
  await page.evaluate(() => document.dispatchEvent(new MouseEvent("click")));
  const clicks = await daemon.clicksOnceThere("nested@example.com", 2);
  expect(clicks.map((click) => click.expert_username)).toEqual(["jdoe", "zoe"]);
});
