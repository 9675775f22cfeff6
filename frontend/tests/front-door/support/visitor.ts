import type { Browser, Page } from "puppeteer-core";
import { openBrowser, openPrivateBrowser } from "./browsers.js";
import { Display, type Session } from "./webkit.js";

/** A visitor at a browser with one or more visible windows. Actions happen in the one opened last. */
export interface Visitor {
  goto(url: string): Promise<void>;
  back(): Promise<void>;
  /** Clicks in the middle of an element, as a mouse does. */
  click(selector: string): Promise<void>;
  /** Runs the body of a function in the page, and returns what that returns. */
  evaluate(script: string): Promise<unknown>;
  openWindow(): Promise<void>;
  /** Turns to the window that was opened before this one, or from the first to the last. */
  turn(): Promise<void>;
  closeWindow(): Promise<void>;
  /** Closes the window that the page has opened, as soon as it is there. */
  closePopup(): Promise<void>;
  /** Closes everything. */
  leave(): Promise<void>;
}

export interface Engine {
  enter(): Promise<Visitor>;
  enterPrivately(): Promise<Visitor>;
  stop(): Promise<void>;
}

export const ENGINES: Record<string, () => Promise<Engine>> = {
  Chromium: () => PuppeteerEngine.start("chrome"),
  Firefox: () => PuppeteerEngine.start("firefox"),
  WebKit: () => WebKitEngine.start(),
};

class PuppeteerEngine implements Engine {
  readonly #browser: Browser;
  readonly #privateBrowser: Browser;

  private constructor(browser: Browser, privateBrowser: Browser) {
    this.#browser = browser;
    this.#privateBrowser = privateBrowser;
  }

  static async start(name: "chrome" | "firefox"): Promise<Engine> {
    return new PuppeteerEngine(await openBrowser(name), await openPrivateBrowser(name));
  }

  async enter(): Promise<Visitor> {
    return await PuppeteerVisitor.enter(this.#browser);
  }

  async enterPrivately(): Promise<Visitor> {
    return await PuppeteerVisitor.enter(this.#privateBrowser);
  }

  async stop(): Promise<void> {
    await this.#browser.close();
    await this.#privateBrowser.close();
  }
}

class PuppeteerVisitor implements Visitor {
  readonly #browser: Browser;
  #pages: Page[] = [];
  #popup: Promise<Page | null> = Promise.resolve(null);

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  static async enter(browser: Browser): Promise<Visitor> {
    const visitor = new PuppeteerVisitor(browser);
    await visitor.openWindow();
    return visitor;
  }

  get #page(): Page {
    return this.#pages.at(-1) as Page;
  }

  async goto(url: string): Promise<void> {
    await this.#page.goto(url);
  }

  async back(): Promise<void> {
    // page.goBack would wait for a load that a kept page does not have.
    await this.#page.evaluate("history.back()");
  }

  async click(selector: string): Promise<void> {
    await this.#page.click(selector);
  }

  async evaluate(script: string): Promise<unknown> {
    return await this.#page.evaluate(`(() => { ${script} })()`);
  }

  async openWindow(): Promise<void> {
    const page = await this.#browser.newPage({ type: "window" });
    await page.setViewport({ width: 600, height: 600 });
    this.#popup = new Promise((resolve) => page.once("popup", resolve));
    this.#pages.push(page);
  }

  async turn(): Promise<void> {
    this.#pages.unshift(this.#pages.pop() as Page);
  }

  async closeWindow(): Promise<void> {
    await this.#pages.pop()?.close();
  }

  async closePopup(): Promise<void> {
    const popup = await this.#popup;
    this.#popup = new Promise((resolve) => this.#page.once("popup", resolve));
    await popup?.close();
  }

  async leave(): Promise<void> {
    for (const page of this.#pages.splice(0)) await page.close();
  }
}

/** Lends browsers that were given back, since each takes more than a second to start. */
class WebKitEngine implements Engine {
  readonly #display: Display;
  readonly #sessions: Session[] = [];
  readonly #free: Session[] = [];

  private constructor(display: Display) {
    this.#display = display;
  }

  static async start(): Promise<Engine> {
    return new WebKitEngine(await Display.start());
  }

  async enter(): Promise<Visitor> {
    let session = this.#free.pop();
    if (!session) {
      session = await this.#display.openSession();
      this.#sessions.push(session);
    }
    return await WebKitVisitor.enter(session, () => this.#free.push(session));
  }

  /** Under automation all of its windows are private. */
  enterPrivately = this.enter;

  async stop(): Promise<void> {
    for (const session of this.#sessions) await session.close();
    await this.#display.stop();
  }
}

class WebKitVisitor implements Visitor {
  readonly #session: Session;
  readonly #giveBack: () => void;
  #windows: string[] = [];

  private constructor(session: Session, windows: string[], giveBack: () => void) {
    this.#session = session;
    this.#windows = windows;
    this.#giveBack = giveBack;
  }

  static async enter(session: Session, giveBack: () => void): Promise<Visitor> {
    return new WebKitVisitor(session, await session.windows(), giveBack);
  }

  async goto(url: string): Promise<void> {
    await this.#session.goto(url);
  }

  async back(): Promise<void> {
    await this.#session.back();
  }

  async click(selector: string): Promise<void> {
    await this.#session.click(selector);
  }

  async evaluate(script: string): Promise<unknown> {
    return await this.#session.evaluate(script);
  }

  async openWindow(): Promise<void> {
    this.#windows.push(await this.#session.openWindow());
    await this.#choose();
  }

  async turn(): Promise<void> {
    this.#windows.unshift(this.#windows.pop() as string);
    await this.#choose();
  }

  async closeWindow(): Promise<void> {
    await this.#session.closeWindow();
    this.#windows.pop();
    await this.#choose();
  }

  async closePopup(): Promise<void> {
    const deadline = Date.now() + 15_000;
    let popup: string | undefined;
    while (!popup && Date.now() < deadline) {
      popup = (await this.#session.windows()).find((handle) => !this.#windows.includes(handle));
    }
    if (!popup) throw new Error("the page has opened no window");
    await this.#session.chooseWindow(popup);
    await this.#session.closeWindow();
    await this.#choose();
  }

  async leave(): Promise<void> {
    while (this.#windows.length > 1) await this.closeWindow();
    await this.goto("about:blank");
    this.#giveBack();
  }

  async #choose(): Promise<void> {
    await this.#session.chooseWindow(this.#windows.at(-1) as string);
  }
}
