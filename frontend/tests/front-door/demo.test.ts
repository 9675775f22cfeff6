import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import type { AxeResults } from "axe-core";
import type { Browser, Page } from "puppeteer-core";
import { createServer, type ViteDevServer } from "vite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BROWSERS, openBrowser } from "./support/browsers.js";
import { Daemon } from "./support/daemon.js";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

const PHONE = { width: 360, height: 780 };
const DESKTOP = { width: 1280, height: 900 };

let daemon: Daemon;
let demo: ViteDevServer;

beforeAll(async () => {
  daemon = await Daemon.start();
  process.env.LEADCLICKS_LISTEN = daemon.address;
  const root = fileURLToPath(new URL("../../demo", import.meta.url));
  demo = await createServer({ root, configFile: `${root}/vite.config.ts`, server: { port: 0 }, logLevel: "warn" });
  await demo.listen();
});

afterAll(async () => {
  await demo?.close();
  await daemon?.remove();
});

describe.each(BROWSERS)("in %s", (browserName) => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await openBrowser(browserName);
  });

  afterAll(async () => {
    await browser?.close();
  });

  async function open(): Promise<Page> {
    const context = await browser.createBrowserContext();
    const page = await context.newPage();
    await page.setViewport(DESKTOP);
    await page.goto(demo.resolvedUrls?.local[0] ?? "");
    await page.waitForSelector("article");
    return page;
  }

  async function subscribe(page: Page, email: string): Promise<void> {
    await page.type("#email", email);
    await page.click(".gate button");
    await page.waitForSelector(".notice:focus");
  }

  async function clickButton(page: Page, text: string): Promise<void> {
    await page.locator(`::-p-xpath(//button[text()="${text}"])`).click();
  }

  async function follow(page: Page, name: string): Promise<void> {
    await Promise.all([page.waitForNavigation(), page.locator(`::-p-xpath(//article//a[text()="${name}"])`).click()]);
    await page.waitForSelector("h1");
  }

  /** The names of the experts on the page. */
  async function experts(page: Page): Promise<(string | null)[]> {
    return await page.$$eval("article a", (links) => links.map((link) => link.textContent));
  }

  /** The violations that axe finds, and whether the page is wider than the screen. */
  async function faults(page: Page): Promise<string[]> {
    await page.addScriptTag({ path: AXE });
    const { violations }: AxeResults = await page.evaluate("axe.run()").then((results) => results as AxeResults);
    const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
    const isTooWide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    return isTooWide ? [...found, "wider than the screen"] : found;
  }

  test("from the search to the report", async () => {
    const email = `${browserName}@example.com`;
    const page = await open();
    expect(await experts(page)).toHaveLength(8);

    // The visitor is not a lead yet.
    await follow(page, "Zoë Tan");
    await page.goBack();
    await page.waitForSelector("article");
    await page.type("#query", "Pricing");
    await page.waitForFunction(() => document.querySelectorAll("article").length === 2);
    expect(await experts(page)).toEqual(["John Doe", "Märta Lindqvist"]);
    await subscribe(page, email);
    await follow(page, "John Doe");
    expect(await page.$eval("h1", (heading) => heading.textContent)).toBe("John Doe");
    expect(await daemon.clicksOnceThere(email, 1)).toEqual([
      { email, expert_username: "jdoe", search_query: "Pricing" },
    ]);

    // The email lasts, and so does a no. Märta is there, whether the browser kept the page with its search or not.
    await page.goBack();
    await page.waitForSelector(".notice");
    await clickButton(page, "Do not record my clicks");
    await follow(page, "Märta Lindqvist");
    await page.goBack();
    await page.waitForSelector(".notice");
    await clickButton(page, "Record my clicks");
    // The same click within a second would be a double click; no person is as fast as this test.
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await follow(page, "Märta Lindqvist");
    const clicks = await daemon.clicksOnceThere(email, 2);
    expect(clicks.map((click) => click.expert_username)).toEqual(["jdoe", "mlindqvist"]);

    await page.goBack();
    await page.waitForSelector(".notice");
    await clickButton(page, "Forget my email");
    await page.waitForSelector(".gate");
    expect(await page.evaluate(() => JSON.stringify(localStorage))).not.toContain("@example.com");
  });

  test("has nothing for axe to find, on a phone or a desktop", async () => {
    const page = await open();
    for (const viewport of [PHONE, DESKTOP]) {
      await page.setViewport(viewport);
      expect(await faults(page)).toEqual([]);
    }
    await subscribe(page, "jane@example.com");
    await page.locator("article button[aria-pressed]").click();
    await page.waitForSelector("button[aria-pressed=true]");
    for (const viewport of [PHONE, DESKTOP]) {
      await page.setViewport(viewport);
      expect(await faults(page)).toEqual([]);
    }
    if (browserName === "chrome") {
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
      expect(await faults(page)).toEqual([]);
    }
    await page.type("#query", "nobody has this");
    await page.waitForFunction(() => document.querySelector("article") === null);
    expect(await faults(page)).toEqual([]);
    await page.goto(new URL("profile.html?expert=zoe", demo.resolvedUrls?.local[0]).href);
    await page.waitForSelector("h1");
    expect(await faults(page)).toEqual([]);
  });
});
