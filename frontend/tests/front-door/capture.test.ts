import type { Browser, BrowserContext, Page } from "puppeteer-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { BROWSERS, openBrowser } from "./support/browsers.js";
import { Daemon } from "./support/daemon.js";
import { EXPERTS } from "./support/experts.js";
import { type PageSettings, Site } from "./support/site.js";

let site: Site;
/** The same daemon behind another origin. */
let otherSite: Site;
/** The same daemon behind an origin that only the running test posts to. */
let freshSite: Site | undefined;
let daemon: Daemon;

beforeAll(async () => {
  site = await Site.start();
  otherSite = await Site.start();
  daemon = await Daemon.start("--allow-origin", site.origin);
  site.daemon = daemon;
  otherSite.daemon = daemon;
});

afterAll(async () => {
  await site?.stop();
  await otherSite?.stop();
  await daemon?.remove();
});

let leads = 0;

/** A lead of whom nothing is stored yet. */
function newLead(): string {
  return `lead${++leads}@example.com`;
}

describe.each(BROWSERS)("in %s", (browserName) => {
  let browser: Browser;
  /** A visitor's browser in which nothing is stored yet. */
  let context: BrowserContext;
  /** The errors that the pages of the running test reported: our code may never cause one. */
  let complaints: string[] = [];

  beforeAll(async () => {
    browser = await openBrowser(browserName);
  });

  afterAll(async () => {
    await browser?.close();
  });

  beforeEach(async () => {
    context = await browser.createBrowserContext();
  });

  afterEach(async () => {
    await context.close();
    await daemon.restart();
    await freshSite?.stop();
    freshSite = undefined;
    site.answerDelayMs = 0;
    const heard = complaints;
    complaints = [];
    expect(heard).toEqual([]);
  });

  /** A site that the pages of earlier tests cannot have sent a late post to, as they do when they are closed before the answer. */
  async function openFreshSite(): Promise<string> {
    freshSite = await Site.start();
    freshSite.daemon = daemon;
    return `${freshSite.origin}/api/lead-clicks`;
  }

  /** The browser itself complains of requests that fail or are forbidden. Nothing may fail in the page because of that. */
  function forgiveTheBrowser(): void {
    complaints = complaints.filter((complaint) => !/^(console|Error: Content-Security-Policy): /.test(complaint));
  }

  async function watch(page: Page): Promise<Page> {
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => complaints.push(`console: ${message.text()}`));
    await page.setViewport({ width: 1000, height: 2500 });
    return page;
  }

  async function open(settings: PageSettings): Promise<Page> {
    const page = await watch(await context.newPage());
    await page.goto(site.page(settings));
    await page.waitForSelector(link("e10"));
    return page;
  }

  function link(expert: string): string {
    return `a[href="/experts/${expert}"]`;
  }

  /** Clicks a card and waits until its link was followed. */
  async function follow(page: Page, expert: string): Promise<void> {
    await Promise.all([page.waitForNavigation(), page.click(link(expert))]);
    expect(new URL(page.url()).pathname).toBe(`/experts/${expert}`);
  }

  /** Waits until so many clicks are in the outbox. */
  async function untilWaiting(page: Page, count: number): Promise<void> {
    const isWaiting = (count: number) =>
      Object.keys(localStorage).filter((key) => key.startsWith("leadclicks ")).length === count;
    await page.waitForFunction(isWaiting, { polling: 20 }, count);
  }

  /** Prevents navigation, as a page that opens profiles by a script does, and counts the clicks that it receives. */
  async function stay(page: Page): Promise<() => Promise<number>> {
    await page.evaluate(() => {
      Object.assign(window, { clicks: 0 });
      addEventListener("click", (event) => {
        event.preventDefault();
        Object.assign(window, { clicks: (window as unknown as { clicks: number }).clicks + 1 });
      });
    });
    return () => page.evaluate(() => (window as unknown as { clicks: number }).clicks);
  }

  /** Stops the daemon, and clicks on a page that stays until each click is in the outbox. */
  async function clickWhileDown(settings: PageSettings, ...experts: string[]): Promise<Page> {
    await daemon.stop();
    const page = await open(settings);
    await stay(page);
    for (const [index, expert] of experts.entries()) {
      await page.click(link(expert));
      await untilWaiting(page, index + 1);
    }
    return page;
  }

  describe.each(["react", "plain"] as const)("with the %s page", (kind) => {
    /** The stored clicks of a lead, once a later click from the same browser has arrived. */
    async function storedInTheEnd(email: string): Promise<[expert: string, query: string][]> {
      const later = newLead();
      await follow(await open({ kind, email: later }), "e10");
      await daemon.clicksOnceThere(later, 1);
      const clicks = await daemon.clicksOf(email);
      return clicks.map(({ expert_username, search_query }) => [expert_username, search_query]);
    }

    test("a click that navigates away at once is stored", async () => {
      const email = newLead();
      await follow(await open({ kind, email, query: "pricing & 'growth' \u{1f600}" }), "e01");
      expect(await daemon.clicksOnceThere(email, 1)).toEqual([
        { email, expert_username: "e01", search_query: "pricing & 'growth' \u{1f600}" },
      ]);
    });

    test("a click is stored on another origin, without a preflight", async () => {
      const email = newLead();
      await follow(await open({ kind, email, endpoint: await openFreshSite() }), "e01");
      expect(await daemon.clicksOnceThere(email, 1)).toHaveLength(1);
      expect(new Set(freshSite?.proxied)).toEqual(new Set(["POST text/plain;charset=UTF-8"]));
    });

    test("a click that closes the tab is stored", async () => {
      const email = newLead();
      const opener = await open({ kind });
      const popup = new Promise<Page | null>((resolve) => opener.once("popup", resolve));
      // The post is still waiting for a connection when the page is gone: only keepalive lets it go out.
      const settings = { kind, email, isBusy: true, closesOnClick: true };
      await opener.evaluate((url) => void window.open(url), site.page(settings));
      const page = await popup;
      if (!page) throw new Error("no popup");
      await watch(page);
      await page.waitForSelector(link("e01"));
      await page.waitForSelector("[data-busy]");
      const closed = new Promise((resolve) => page.once("close", resolve));
      // The answer to the click may not find the page any more.
      await page.click(link("e01")).catch(() => {});
      await closed;
      expect(await daemon.clicksOnceThere(email, 1)).toHaveLength(1);
    });

    test("a middle click is stored once, and the page stays", async () => {
      const email = newLead();
      const page = await open({ kind, email });
      await page.click(link("e01"), { button: "middle" });
      expect(await daemon.clicksOnceThere(email, 1)).toHaveLength(1);
      expect(await storedInTheEnd(email)).toEqual([["e01", ""]]);
      expect(page.url()).toBe(site.page({ kind, email }));
    });

    test("a click with the Ctrl key is stored once", async () => {
      const email = newLead();
      const page = await open({ kind, email });
      await page.keyboard.down("Control");
      await page.click(link("e01"));
      await page.keyboard.up("Control");
      expect(await daemon.clicksOnceThere(email, 1)).toHaveLength(1);
      expect(await storedInTheEnd(email)).toEqual([["e01", ""]]);
    });

    test("Enter on the link is stored once", async () => {
      const email = newLead();
      const page = await open({ kind, email });
      await page.focus(link("e01"));
      await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
      expect(await daemon.clicksOnceThere(email, 1)).toHaveLength(1);
      expect(await storedInTheEnd(email)).toEqual([["e01", ""]]);
    });

    test("a double click is stored once", async () => {
      const email = newLead();
      const page = await open({ kind, email });
      const clicks = await stay(page);
      await page.click(link("e01"), { count: 2 });
      expect(await clicks()).toBe(2);
      expect(await storedInTheEnd(email)).toEqual([["e01", ""]]);
    });

    test("events other than a click on the card are not stored", async () => {
      const email = newLead();
      const page = await open({ kind, email });
      const clicks = await stay(page);
      await page.click("#e01 button");
      await page.focus("#e02 button");
      await page.keyboard.press("Enter");
      await page.keyboard.press(" ");
      if (kind === "react") await page.click("#e03 .expert-card-tag");
      else await page.click("#e03 a[href^='/companies']");
      expect(await clicks()).toBe(4);
      await page.click(link("e04"), { button: "right" });
      expect(await storedInTheEnd(email)).toEqual([]);
    });

    test("without an email nothing is sent", async () => {
      await follow(await open({ kind, endpoint: await openFreshSite() }), "e01");
      expect(await storedInTheEnd("")).toEqual([]);
      expect(freshSite?.proxied).toEqual([]);
    });

    test("a page whose content security policy forbids the post is unharmed", async () => {
      const email = newLead();
      const page = await open({ kind, email, csp: "connect-src 'none'", endpoint: await openFreshSite() });
      await follow(page, "e01");
      expect(freshSite?.proxied).toEqual([]);
      expect(await daemon.clicksOf(email)).toEqual([]);
      forgiveTheBrowser();
    });

    test.each(["own", "other"])(
      "a click while the daemon is down is delivered once when it is up, on the %s origin",
      async (origin) => {
        const email = newLead();
        const server = origin === "own" ? site : otherSite;
        const settings = { kind, email, endpoint: `${server.origin}/api/lead-clicks` };
        const page = await clickWhileDown(settings, "e01", "e02");
        const posted = server.proxied.length;
        await page.reload();
        // It has tried in vain: what a page is posting when it is left would not be sent again.
        await expect.poll(() => server.proxied.length).toBeGreaterThan(posted);
        await untilWaiting(page, 2);
        await daemon.restart();

        await page.reload();
        expect(await daemon.clicksOnceThere(email, 2)).toHaveLength(2);
        await untilWaiting(page, 0);
        await page.reload();
        await follow(page, "e03");
        expect(await daemon.clicksOnceThere(email, 3)).toHaveLength(3);
        expect(await storedInTheEnd(email)).toEqual([
          ["e01", ""],
          ["e02", ""],
          ["e03", ""],
        ]);
        forgiveTheBrowser();
      },
    );

    test("a click that found the daemon down is delivered after the next that gets through", async () => {
      const email = newLead();
      const page = await clickWhileDown({ kind, email }, "e01");
      await daemon.restart();
      await page.click(link("e02"));
      // By when they were, not by when they arrived.
      const clicks = await daemon.clicksOnceThere(email, 2);
      expect(clicks.map((click) => click.expert_username)).toEqual(["e01", "e02"]);
      await untilWaiting(page, 0);
      forgiveTheBrowser();
    });

    // puppeteer can take only Chromium off the network.
    test.runIf(browserName === "chrome")("a click while offline is delivered once online again", async () => {
      const email = newLead();
      const page = await open({ kind, email });
      await stay(page);
      await page.setOfflineMode(true);
      await page.click(link("e01"));
      await untilWaiting(page, 1);
      await page.setOfflineMode(false);
      expect(await daemon.clicksOnceThere(email, 1)).toHaveLength(1);
      await untilWaiting(page, 0);
      forgiveTheBrowser();
    });

    // React comes as a module, which a sandbox does not load.
    test.runIf(kind === "plain")(
      "a page in a sandbox, where storage and locks are forbidden, is unharmed",
      async () => {
        const page = await open({ kind, email: newLead(), csp: "sandbox allow-scripts" });
        await stay(page);
        await page.click(link("e01"));
        // An unhandled rejection would be reported after a task or two.
        await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 200)));
        forgiveTheBrowser();
      },
    );

    test("a click that leaves the page before it has failed is delivered by the next page", async () => {
      const email = newLead();
      await daemon.stop();
      site.answerDelayMs = 500;
      const page = await open({ kind, email });
      await follow(page, "e01");
      await daemon.restart();
      await page.goto(site.page({ kind, email }));
      await follow(page, "e02");
      expect(await daemon.clicksOnceThere(email, 2)).toHaveLength(2);
      expect((await storedInTheEnd(email)).sort()).toEqual([
        ["e01", ""],
        ["e02", ""],
      ]);
      forgiveTheBrowser();
    });

    test("a click whose answer comes too late for its page is stored once", async () => {
      const email = newLead();
      site.answerDelayMs = 1000;
      await follow(await open({ kind, email }), "e01");
      expect(await daemon.clicksOnceThere(email, 1)).toHaveLength(1);
      const page = await open({ kind, email });
      await untilWaiting(page, 0);
      expect(await storedInTheEnd(email)).toEqual([["e01", ""]]);
    });

    // Firefox keeps no page that waits for an answer.
    test.runIf(browserName === "chrome")("a click whose page is kept for the way back is stored once", async () => {
      const email = newLead();
      site.answerDelayMs = 500;
      const page = await open({ kind, email });
      await page.evaluate(() =>
        addEventListener("pageshow", ({ persisted }) => document.body.setAttribute("data-kept", String(persisted))),
      );
      await follow(page, "e01");
      expect(await daemon.clicksOnceThere(email, 1)).toHaveLength(1);
      // page.goBack would wait for a load that a kept page does not have.
      await page.evaluate(() => history.back());
      await page.waitForSelector("[data-kept=true]");
      // After this one's answer the page looks into the outbox.
      await follow(page, "e02");
      await page.evaluate(() => history.back());
      await page.waitForSelector("[data-kept=true]");
      await new Promise((resolve) => setTimeout(resolve, 2000));
      expect(await storedInTheEnd(email)).toEqual([
        ["e01", ""],
        ["e02", ""],
      ]);
    });

    test("leaving a page while it delivers waiting clicks delivers none twice", async () => {
      const email = newLead();
      const page = await clickWhileDown({ kind, email }, "e01", "e02");
      await daemon.restart();
      site.answerDelayMs = 1000;
      await page.reload();
      expect(await daemon.clicksOnceThere(email, 1)).toHaveLength(1);
      await page.reload();
      await daemon.clicksOnceThere(email, 2);
      await untilWaiting(page, 0);
      // One that arrives within a second of its click is dated by its arrival, and may be dated after the other.
      expect((await storedInTheEnd(email)).sort()).toEqual([
        ["e01", ""],
        ["e02", ""],
      ]);
      forgiveTheBrowser();
    });

    test("ten fast clicks on different cards are ten rows in their order", async () => {
      const email = newLead();
      const page = await open({ kind, email });
      await stay(page);
      for (const expert of EXPERTS) await page.click(link(expert));
      const clicks = await daemon.clicksOnceThere(email, EXPERTS.length);
      expect(clicks.map((click) => click.expert_username)).toEqual(EXPERTS);
    });

    /** Clicks all cards before the page gets to do anything else. */
    async function clickAll(page: Page): Promise<void> {
      await page.evaluate((experts) => {
        for (const expert of experts) document.querySelector<HTMLElement>(`a[href="/experts/${expert}"]`)?.click();
      }, EXPERTS);
    }

    test("ten clicks of one moment are ten rows in their order", async () => {
      const email = newLead();
      const page = await open({ kind, email });
      await stay(page);
      await clickAll(page);
      await daemon.clicksOnceThere(email, EXPERTS.length);
      // Not as they happened: on a slow machine the last ones wait for more than a second, and are dated by their age.
      expect(await daemon.expertsAsArrived(email)).toEqual(EXPERTS);
    });

    test("ten clicks of one moment that leave the page are ten rows", async () => {
      const email = newLead();
      site.answerDelayMs = 100;
      const page = await open({ kind, email });
      // Clicks that are posted while the page is left can overtake others.
      await Promise.all([page.waitForNavigation(), clickAll(page)]);
      const clicks = await daemon.clicksOnceThere(email, EXPERTS.length);
      expect(clicks.map((click) => click.expert_username).sort()).toEqual(EXPERTS);
    });

    test("two tabs that come online at once deliver a waiting click once", async () => {
      const email = newLead();
      await daemon.stop();
      const settings = { kind, email };
      const first = await open(settings);
      const second = await open(settings);
      await first.bringToFront();
      await stay(first);
      for (const expert of EXPERTS) await first.click(link(expert));
      await untilWaiting(first, EXPERTS.length);
      await daemon.restart();
      const comeOnline = () => void dispatchEvent(new Event("online"));
      await Promise.all([first, second].map((page) => page.evaluate(comeOnline)));
      expect(await daemon.clicksOnceThere(email, EXPERTS.length)).toHaveLength(EXPERTS.length);
      // Those of a moment before the retry may change places, by as much as their posts are delayed.
      expect((await storedInTheEnd(email)).sort()).toEqual(EXPERTS.map((expert) => [expert, ""]));
      forgiveTheBrowser();
    });
  });
});
