import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { CaptureOptions, LeadClick } from "../../src/index.js";

const DAY_MS = 86_400_000;

/** What was posted, and how the server takes it. */
const server = {
  posts: [] as { url: string; init: RequestInit }[],
  answer: (): Promise<Response> => Promise.resolve(new Response(null, { status: 202 })),
};

/** The events of the page that was loaded last: a page that was left hears no more. */
let page: EventTarget;

/** Loads a page with a copy of the module, and waits until it has delivered what it can. */
async function loadPage(): Promise<(click: LeadClick, options?: CaptureOptions) => void> {
  vi.resetModules();
  page = new EventTarget();
  vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
  const { captureLeadClick } = await import("../../src/captureLeadClick.js");
  await pass();
  return captureLeadClick;
}

function bodies(): Record<string, string>[] {
  return server.posts.map(({ init }) => JSON.parse(String(init.body)));
}

function experts(): (string | undefined)[] {
  return bodies().map((body) => body.expert_username);
}

function waiting(): string[] {
  return Object.keys(localStorage).filter((key) => key.startsWith("leadclicks "));
}

/** Lets everything happen that is due within this time. */
async function pass(ms = 2000): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

/** Whether a text has no lone half of a surrogate pair, which UTF-8 can't carry. */
const isWellFormed = (text: string) => Buffer.from(text).toString() === text;
const status = (code: number) => () => Promise.resolve(new Response(null, { status: code }));
const noConnection = () => Promise.reject(new TypeError("Failed to fetch"));
const jdoe = { email: "jane@example.com", expert_username: "jdoe", search_query: "pricing" };
const zoe = { ...jdoe, expert_username: "zoe" };

beforeEach(() => {
  vi.useFakeTimers();
  localStorage.clear();
  server.posts = [];
  server.answer = status(202);
  vi.stubGlobal("fetch", (url: string, init: RequestInit) => {
    server.posts.push({ url, init });
    return server.answer();
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("the post", () => {
  test("is the contract's, sent within the call", async () => {
    const capture = await loadPage();
    expect(capture(jdoe)).toBeUndefined();
    expect(server.posts).toEqual([
      {
        url: `${location.origin}/api/lead-clicks`,
        init: {
          method: "POST",
          body: '{"email":"jane@example.com","expert_username":"jdoe","search_query":"pricing"}',
          keepalive: true,
          headers: { "Content-Type": "application/json" },
        },
      },
    ]);
  });

  test("is text without a preflight on another origin", async () => {
    const capture = await loadPage();
    capture(jdoe, { endpoint: "https://leads.example.com/api/lead-clicks" });
    expect(server.posts[0]).toMatchObject({ url: "https://leads.example.com/api/lead-clicks", init: { headers: {} } });
  });

  test("goes to the page's own origin where a template left the endpoint empty", async () => {
    const capture = await loadPage();
    capture(jdoe, { endpoint: "" });
    expect(server.posts[0]?.url).toBe(`${location.origin}/api/lead-clicks`);
  });

  test.each([null, undefined, "", " \t\n"])("is not sent for the email %j", async (email) => {
    const capture = await loadPage();
    capture({ ...jdoe, email });
    await pass();
    expect(server.posts).toEqual([]);
    expect(localStorage).toHaveLength(0);
  });

  test("has an empty search where there was none", async () => {
    const capture = await loadPage();
    capture({ email: " jane@example.com\n", expert_username: "jdoe" });
    capture({ email: "jane@example.com", expert_username: "zoe", search_query: null });
    await pass();
    expect(bodies()).toEqual([
      { email: "jane@example.com", expert_username: "jdoe", search_query: "" },
      { email: "jane@example.com", expert_username: "zoe", search_query: "" },
    ]);
  });

  test("is cut to the contract's limits, in characters and not in halves of them", async () => {
    const capture = await loadPage();
    capture({
      email: "jane@example.com",
      expert_username: `  ${"x".repeat(101)}`,
      search_query: "\u{1f600}".repeat(2001),
    });
    expect(bodies()).toEqual([
      { email: "jane@example.com", expert_username: "x".repeat(100), search_query: "\u{1f600}".repeat(2000) },
    ]);
  });

  test("always keeps to the contract, whatever was searched for", async () => {
    const capture = await loadPage();
    const text = fc.string({ unit: fc.nat(0xffff).map((unit) => String.fromCharCode(unit)), maxLength: 2200 });
    await fc.assert(
      fc.asyncProperty(text, async (search_query) => {
        server.posts = [];
        capture({ ...jdoe, search_query });
        await pass();
        const body = String(server.posts[0]?.init.body);
        expect(body).not.toMatch(/\\ud[89a-f]/i);
        const sent: string = JSON.parse(body).search_query;
        expect(isWellFormed(sent)).toBe(true);
        const unchanged = isWellFormed(search_query) && [...search_query].length <= 2000;
        if (unchanged) expect(sent).toBe(search_query);
        expect([...sent].length).toBe(Math.min([...search_query].length, 2000));
      }),
      { numRuns: 200 },
    );
  });
});

describe("the page", () => {
  test("never hears of anything that goes wrong", async () => {
    const errors: unknown[] = [];
    const onRejection = (reason: unknown) => errors.push(reason);
    process.on("unhandledRejection", onRejection);
    vi.stubGlobal(
      "localStorage",
      new Proxy(localStorage, {
        set() {
          throw new DOMException("full", "QuotaExceededError");
        },
      }),
    );
    const capture = await loadPage();
    server.answer = noConnection;
    await fc.assert(
      fc.asyncProperty(fc.anything(), fc.anything(), async (click, options) => {
        expect(capture(click as LeadClick, options as CaptureOptions)).toBeUndefined();
        expect(capture({ ...jdoe, expert_username: click as string })).toBeUndefined();
        await pass();
      }),
    );
    expect(() => capture(jdoe, { endpoint: "https://" })).not.toThrow();
    await pass();
    process.off("unhandledRejection", onRejection);
    expect(errors).toEqual([]);
  });

  test("may have a fetch that throws, and clicks go on when it works again", async () => {
    const onRejection = vi.fn();
    process.on("unhandledRejection", onRejection);
    const capture = await loadPage();
    server.answer = () => {
      throw new Error("a wrapper around fetch");
    };
    capture(jdoe);
    await pass();
    server.answer = status(202);
    capture(zoe);
    await pass();
    process.off("unhandledRejection", onRejection);
    expect(onRejection).not.toHaveBeenCalled();
    expect(experts()).toEqual(["jdoe", "zoe", "jdoe"]);
  });

  test("may forbid storage", async () => {
    vi.stubGlobal("localStorage", null);
    const capture = await loadPage();
    server.answer = noConnection;
    capture(jdoe);
    await pass();
    server.answer = status(202);
    capture(zoe);
    await pass();
    expect(experts()).toEqual(["jdoe", "zoe", "jdoe"]);
  });
});

describe("the same click", () => {
  test("counts once within a second", async () => {
    const capture = await loadPage();
    capture(jdoe);
    await pass(999);
    capture(jdoe);
    expect(experts()).toEqual(["jdoe"]);
    await pass(1);
    capture(jdoe);
    expect(experts()).toEqual(["jdoe", "jdoe"]);
  });

  test("counts also where the clock was set back", async () => {
    const capture = await loadPage();
    capture(jdoe);
    vi.setSystemTime(Date.now() - DAY_MS);
    await pass();
    capture(jdoe);
    expect(experts()).toEqual(["jdoe", "jdoe"]);
  });

  test("is not the same with another expert, search or lead", async () => {
    const capture = await loadPage();
    for (const click of [jdoe, zoe, { ...jdoe, search_query: "" }, { ...jdoe, email: "max@example.com" }]) {
      capture(click);
    }
    await pass();
    expect(server.posts).toHaveLength(4);
  });
});

describe("several clicks", () => {
  test("are posted one after the other, in their order", async () => {
    const capture = await loadPage();
    server.answer = () => new Promise((resolve) => setTimeout(() => resolve(new Response(null, { status: 202 })), 100));
    capture(jdoe);
    capture(zoe);
    await pass(99);
    expect(experts()).toEqual(["jdoe"]);
    await pass(2);
    expect(experts()).toEqual(["jdoe", "zoe"]);
  });

  test("are posted at once when the page is left", async () => {
    const capture = await loadPage();
    server.answer = () => new Promise(() => {});
    capture(jdoe);
    capture(zoe);
    capture({ ...jdoe, expert_username: "amina" });
    page.dispatchEvent(new Event("pagehide"));
    expect(experts()).toEqual(["jdoe", "zoe", "amina"]);
    page.dispatchEvent(new Event("pagehide"));
    expect(server.posts).toHaveLength(3);
  });
});

describe("a click that could not be delivered", () => {
  test.each([
    ["no connection", noConnection],
    ["429", status(429)],
    ["500", status(500)],
    ["502", status(502)],
    ["503", status(503)],
  ])("waits after %s, and is delivered once after the next that gets through", async (_, answer) => {
    const capture = await loadPage();
    server.answer = answer;
    capture(jdoe);
    await pass();
    expect(waiting()).toHaveLength(1);
    server.answer = status(202);
    capture(zoe);
    await pass();
    expect(experts()).toEqual(["jdoe", "zoe", "jdoe"]);
    expect(waiting()).toEqual([]);
    await pass(DAY_MS);
    expect(server.posts).toHaveLength(3);
  });

  test.each([202, 204, 400, 403, 404, 405, 413, 415, 422, 431])("does not wait after %i", async (code) => {
    const capture = await loadPage();
    server.answer = status(code);
    capture(jdoe);
    await pass();
    expect(localStorage).toHaveLength(0);
  });

  test("is delivered when the browser is online again", async () => {
    const capture = await loadPage();
    server.answer = noConnection;
    capture(jdoe);
    await pass();
    server.answer = status(202);
    page.dispatchEvent(new Event("online"));
    await pass();
    expect(experts()).toEqual(["jdoe", "jdoe"]);
    expect(waiting()).toEqual([]);
  });

  test("is delivered by the next page to where it was meant to go", async () => {
    const capture = await loadPage();
    server.answer = noConnection;
    capture(jdoe, { endpoint: "https://leads.example.com/clicks" });
    await pass(10);
    capture(zoe);
    await pass();
    server.answer = status(202);
    server.posts = [];
    await loadPage();
    expect(server.posts.map(({ url }) => url)).toEqual([
      "https://leads.example.com/clicks",
      `${location.origin}/api/lead-clicks`,
    ]);
    expect(experts()).toEqual(["jdoe", "zoe"]);
  });

  test("waits on where the first attempt fails, and the others with it", async () => {
    const capture = await loadPage();
    server.answer = noConnection;
    capture(jdoe);
    await pass(10);
    capture(zoe);
    await pass();
    server.posts = [];
    page.dispatchEvent(new Event("online"));
    await pass();
    expect(experts()).toEqual(["jdoe"]);
    expect(waiting()).toHaveLength(2);
  });

  test("is dropped after a day, however often it was tried", async () => {
    const capture = await loadPage();
    server.answer = noConnection;
    capture(jdoe);
    await pass(DAY_MS / 2);
    page.dispatchEvent(new Event("online"));
    await pass(DAY_MS / 2 - 5000);
    expect(waiting()).toHaveLength(1);
    await pass(5001);
    server.posts = [];
    server.answer = status(202);
    await loadPage();
    expect(server.posts).toEqual([]);
    expect(localStorage).toHaveLength(0);
  });

  test("finds place for fifty", async () => {
    const capture = await loadPage();
    server.answer = noConnection;
    for (let expert = 0; expert < 60; expert++) {
      capture({ ...jdoe, expert_username: `e${expert}` });
      await pass(10);
    }
    expect(waiting()).toHaveLength(50);
    server.answer = status(202);
    server.posts = [];
    await loadPage();
    expect(experts()).toEqual(Array.from({ length: 50 }, (_, expert) => `e${expert}`));
  });

  test("tolerates what others left in storage", async () => {
    localStorage.setItem("leadclicks ", "{");
    localStorage.setItem("leadclicks x y", "null");
    localStorage.setItem("theirs", "kept");
    await loadPage();
    expect({ ...localStorage }).toEqual({ theirs: "kept" });
    expect(server.posts).toEqual([]);
  });
});

describe("opting out", () => {
  test("ends the recording and drops what waits, until it is taken back", async () => {
    const capture = await loadPage();
    const { hasOptedOut, optIn, optOut } = await import("../../src/index.js");
    server.answer = noConnection;
    capture(jdoe);
    await pass();
    expect(hasOptedOut()).toBe(false);
    optOut();
    expect(hasOptedOut()).toBe(true);
    expect(waiting()).toEqual([]);
    server.answer = status(202);
    server.posts = [];
    capture(zoe);
    page.dispatchEvent(new Event("online"));
    await pass();
    expect(server.posts).toEqual([]);
    expect(waiting()).toEqual([]);
    optIn();
    capture(jdoe);
    expect(experts()).toEqual(["jdoe"]);
  });

  test("stops a delivery, and what waits for another click's answer", async () => {
    const capture = await loadPage();
    const { optOut } = await import("../../src/index.js");
    server.answer = noConnection;
    for (const expert_username of ["e1", "e2", "e3"]) {
      capture({ ...jdoe, expert_username });
      await pass(10);
    }
    server.posts = [];
    server.answer = () => new Promise((_, reject) => setTimeout(reject, 100));
    page.dispatchEvent(new Event("online"));
    capture(jdoe);
    capture(zoe);
    await pass(0);
    optOut();
    await pass();
    expect(experts()).toEqual(["e1", "jdoe"]);
    expect(waiting()).toEqual([]);
  });
});

/** Locks of which other tabs hold none. */
function stubLocks(request: (name: string, callback: () => Promise<void>) => Promise<void>): void {
  vi.stubGlobal("navigator", { locks: { request } });
}

describe("the outbox", () => {
  beforeEach(async () => {
    server.answer = noConnection;
    const capture = await loadPage();
    capture(jdoe);
    await pass();
    server.answer = status(202);
    server.posts = [];
  });

  test("is left to another tab as long as that delivers it", async () => {
    let grant = () => {};
    stubLocks((_, callback) => new Promise<void>((resolve) => (grant = resolve)).then(callback));
    await loadPage();
    expect(server.posts).toEqual([]);
    grant();
    await pass();
    expect(experts()).toEqual(["jdoe"]);
  });

  test("is delivered also where locks are forbidden, and nobody hears of it", async () => {
    const onRejection = vi.fn();
    process.on("unhandledRejection", onRejection);
    stubLocks(() => Promise.reject(new DOMException("Access to the Locks API is denied", "SecurityError")));
    await loadPage();
    process.off("unhandledRejection", onRejection);
    expect(experts()).toEqual(["jdoe"]);
    expect(onRejection).not.toHaveBeenCalled();
  });
});
