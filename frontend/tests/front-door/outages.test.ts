/**
 * Clicks while something between the page and the database fails, in three engines. With LEADCLICKS_TEST_LONG each way of
 * leaving meets each outage, in the cells of the table with 100 clicks in five outages, and the table is printed for the
 * documentation.
 */

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LeadClickEntry } from "../../src/index.js";
import { Daemon } from "./support/daemon.js";
import { EXPERTS } from "./support/experts.js";
import { type PageSettings, Site } from "./support/site.js";
import { ENGINES, type Engine, type Visitor } from "./support/visitor.js";

const IS_LONG = process.env.LEADCLICKS_TEST_LONG !== undefined;

/** Long enough for the pauses of a page that stays, on a machine that is busy with something else. */
const PATIENCE_MS = 60_000;

/** The clicks during one outage. A page keeps no more than 50. */
const ROUND_CLICKS = IS_LONG ? 2 * EXPERTS.length : EXPERTS.length / 2;

/** A cell of the table with five rounds takes some minutes. */
const CELL_MS_MAX = IS_LONG ? 900_000 : 120_000;

const HOUR_MS = 3_600_000;

const OUTAGES = [
  "none",
  "refused",
  "502 at once",
  "502 after 30 ms",
  "503 after 150 ms",
  "SIGTERM and start",
  "SIGKILL and start",
  "stored, but answered 504",
  "stored, but the connection cut",
] as const;
type OutageName = (typeof OUTAGES)[number];

/** The ways of leaving in the same tab, which meet all outages. */
const LEAVINGS = ["at once", "after 100 ms", "staying"] as const;

/** The other cases, each with one outage. In each of them the page is left at once. */
const VARIATIONS = [
  "in a new window",
  "closing the window",
  "in two windows",
  "by the back-forward cache",
  "in private mode",
  "where storage is denied",
  "where storage is full",
  "with the clock set an hour forward",
  "with the clock set an hour back",
  "with the clock set two days forward",
] as const;
type Way = (typeof LEAVINGS)[number] | (typeof VARIATIONS)[number];

const CELLS: [way: Way, outage: OutageName][] = [
  ...LEAVINGS.flatMap((way) => OUTAGES.map((outage): [Way, OutageName] => [way, outage])),
  ...VARIATIONS.flatMap((way) =>
    OUTAGES.filter((outage) => IS_LONG || outage === "503 after 150 ms").map((outage): [Way, OutageName] => [
      way,
      outage,
    ]),
  ),
];

/** The result of a cell: stored clicks, and clicks that are stored more than once. */
const table: Record<string, string> = {};

let leads = 0;

afterAll(() => {
  if (IS_LONG) console.log(markdown());
});

describe.each(Object.keys(ENGINES))("in %s", (engineName) => {
  let engine: Engine;

  beforeAll(async () => {
    engine = await (ENGINES[engineName] as () => Promise<Engine>)();
  });

  afterAll(async () => {
    await engine?.stop();
  });

  test.concurrent.each(CELLS)(
    "clicks are stored once when the page is left %s, and the outage is: %s",
    async (way, outage) => {
      const rounds = IS_LONG && LEAVINGS.some((leaving) => leaving === way) ? 5 : 1;
      const cell = await Cell.make(way, outage, engine);
      try {
        let rows: LeadClickEntry[] = [];
        for (let round = 0; round < rounds; round++) {
          await cell.clickAll(ROUND_CLICKS);
          rows = await cell.deliver(cell.expected().min);
        }
        const { min, max } = cell.expected();
        const clicks = new Set(rows.map(nameOf));
        table[`${engineName} ${way} ${outage}`] = `${clicks.size} / ${rows.length - clicks.size}`;
        expect(rows.length - clicks.size).toBe(0);
        expect(rows.length).toBeGreaterThanOrEqual(min);
        expect(rows.length).toBeLessThanOrEqual(max);
        if (!way.includes("clock")) for (const row of rows) cell.checkTime(row);
      } finally {
        await cell.remove();
      }
    },
    CELL_MS_MAX,
  );
});

/** One visitor, with a site and a daemon of its own. */
class Cell {
  readonly #way: Way;
  readonly #outage: OutageName;
  readonly #email = `lead${++leads}@example.com`;
  readonly #visitor: Visitor;
  readonly #daemon: Daemon;
  /** The pages, and usually the proxy. */
  readonly #site: Site;
  /** The proxy on another origin, which can refuse connections while the pages are there. */
  readonly #otherSite: Site;
  /** From when to when each click was made, in milliseconds: the browser's driver may take its time. */
  readonly #clickedMs = new Map<string, [from: number, to: number]>();

  private constructor(way: Way, outage: OutageName, visitor: Visitor, daemon: Daemon, site: Site, otherSite: Site) {
    this.#way = way;
    this.#outage = outage;
    this.#visitor = visitor;
    this.#daemon = daemon;
    this.#site = site;
    this.#otherSite = otherSite;
    site.daemon = daemon;
    otherSite.daemon = daemon;
  }

  static async make(way: Way, outage: OutageName, engine: Engine): Promise<Cell> {
    const daemon = await Daemon.start();
    const visitor = await (way === "in private mode" ? engine.enterPrivately() : engine.enter());
    return new Cell(way, outage, visitor, daemon, await Site.start(), await Site.start());
  }

  async remove(): Promise<void> {
    await this.#visitor.leave();
    await this.#site.stop();
    await this.#otherSite.stop();
    await this.#daemon.remove();
  }

  /** Clicks one card after the other. The outage lasts as long, or for a part of it if it is the daemon that ends. */
  async clickAll(count: number): Promise<void> {
    await this.#beginOutage();
    const first = this.#clickedMs.size;
    for (let click = first; click < first + count; click++) {
      const expert = EXPERTS[click % EXPERTS.length] as string;
      const query = `round ${Math.floor(click / EXPERTS.length)}`;
      await this.#load(query, click === 0);
      const fromMs = Date.now();
      await this.#visitor.click(`a[href="/experts/${expert}"]`);
      this.#clickedMs.set(nameOf({ expert_username: expert, search_query: query }), [fromMs, Date.now()]);
      const step = click % EXPERTS.length;
      if (step === 1 && this.#outage.startsWith("SIGTERM")) await this.#daemon.stop();
      if (step === 1 && this.#outage.startsWith("SIGKILL")) await this.#daemon.kill();
      await this.#leave(expert);
      if (step === 3) await this.#daemon.restart();
    }
    await this.#endOutage();
  }

  /** How many clicks are in the database in the end, at least and at most. */
  expected(): { min: number; max: number } {
    const count = this.#clickedMs.size;
    const isKept = !/denied|full|two days/.test(this.#way);
    if (isKept || this.#outage === "none" || this.#outage.startsWith("stored")) return { min: count, max: count };
    // Those that got through while the daemon was there.
    if (this.#outage.startsWith("SIG")) return { min: this.#accepted(), max: count };
    return { min: 0, max: 0 };
  }

  /** The stored clicks once the visitor is back, or has stayed long enough. */
  async deliver(min: number): Promise<LeadClickEntry[]> {
    if (this.#way === "by the back-forward cache") await this.#back();
    else if (this.#way !== "staying") await this.#load("in the end", true);
    if (this.#way !== "where storage is denied") {
      const waiting = `return Object.keys(localStorage).filter((key) => key.startsWith("leadclicks ")).length`;
      await this.#until(`${waiting} === 0`);
    }
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const rows = await this.#daemon.rowsOf(this.#email);
      if (rows.length >= min || Date.now() > deadline) return rows;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  checkTime(row: LeadClickEntry): void {
    const [fromMs, toMs] = this.#clickedMs.get(nameOf(row)) ?? [0, 0];
    const createdMs = Date.parse(row.created_at);
    expect(createdMs, nameOf(row)).toBeGreaterThan(fromMs - 2000);
    expect(createdMs, nameOf(row)).toBeLessThan(toMs + 2000);
  }

  #accepted(): number {
    return new Set([...this.#site.accepted, ...this.#otherSite.accepted]).size;
  }

  get #endpoint(): string {
    const { origin } = this.#outage === "refused" ? this.#otherSite : this.#site;
    return `${origin}/api/lead-clicks`;
  }

  async #beginOutage(): Promise<void> {
    if (this.#outage === "refused") await this.#otherSite.stop();
    else if (this.#outage === "502 at once") this.#site.outage = { status: 502, afterMs: 0 };
    else if (this.#outage === "502 after 30 ms") this.#site.outage = { status: 502, afterMs: 30 };
    else if (this.#outage === "503 after 150 ms") this.#site.outage = { status: 503, afterMs: 150 };
    else if (this.#outage.startsWith("stored")) this.#site.outage = this.#outage as "stored, but answered 504";
  }

  async #endOutage(): Promise<void> {
    if (this.#outage === "refused") await this.#otherSite.resume();
    this.#site.outage = "none";
    await this.#daemon.restart();
  }

  /** Loads the page of the cards, if it is not there. */
  async #load(query: string, isFirst: boolean): Promise<void> {
    const way = this.#way;
    if (!isFirst) {
      if (way === "staying" || way === "in a new window") return await this.#search(query);
      if (way === "by the back-forward cache") return await this.#back();
    }
    if (way === "closing the window" || (way === "in two windows" && isFirst)) await this.#visitor.openWindow();
    if (way === "in two windows") await this.#visitor.turn();
    const isEnd = query === "in the end";
    const settings: PageSettings = {
      kind: "plain",
      email: this.#email,
      query,
      endpoint: this.#endpoint,
      leaving: this.#leaving,
    };
    if (way === "where storage is denied") settings.csp = "sandbox allow-scripts";
    if (way === "where storage is full" && isFirst && !isEnd) settings.isFull = true;
    if (isEnd && way.includes("an hour")) settings.clockMs = way.includes("forward") ? HOUR_MS : -HOUR_MS;
    if (isEnd && way.includes("two days")) settings.clockMs = 48 * HOUR_MS;
    await this.#visitor.goto(this.#site.page(settings));
  }

  async #back(): Promise<void> {
    await this.#visitor.back();
    await this.#until(`return location.pathname === "/" && document.readyState === "complete"`);
  }

  /** Searches on a page that stays, as a single-page app does. */
  async #search(query: string): Promise<void> {
    await this.#visitor.evaluate(
      `for (const card of document.querySelectorAll("article")) card.dataset.leadclicksQuery = ${JSON.stringify(query)}`,
    );
  }

  get #leaving(): NonNullable<PageSettings["leaving"]> {
    if (this.#way === "after 100 ms" || this.#way === "staying") return this.#way;
    return this.#way === "in a new window" ? "new window" : "at once";
  }

  async #leave(expert: string): Promise<void> {
    if (this.#way === "staying") return;
    if (this.#way === "in a new window") return await this.#visitor.closePopup();
    if (this.#way === "closing the window") return await this.#visitor.closeWindow();
    await this.#until(`return location.pathname === "/experts/${expert}" && document.readyState === "complete"`);
  }

  /** Waits until a condition holds in the page, which may be left meanwhile. */
  async #until(condition: string): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const value = await this.#visitor.evaluate(condition).catch((error) => error);
      if (value === true) return;
      if (Date.now() > deadline) throw new Error(`${condition}: ${value}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

function nameOf({ expert_username, search_query }: { expert_username: string; search_query: string }): string {
  return `${expert_username} ${search_query}`;
}

function markdown(): string {
  const ways = Object.keys(ENGINES).flatMap((engine) => LEAVINGS.map((way) => `${engine} ${way}`));
  const row = (cells: string[]) => `| ${cells.join(" | ")} |`;
  return [
    row(["outage", ...ways.map((way) => way.replace(" ", ", "))]),
    row(["---", ...ways.map(() => "---")]),
    ...OUTAGES.map((outage) => row([outage, ...ways.map((way) => table[`${way} ${outage}`] ?? "")])),
  ].join("\n");
}
