import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { CaptureOptions, LeadClick } from "../../src/index.js";

const DAY_MS = 86_400_000;

/** The posted body, the outbox at that time, and the server's reaction. */
const server = {
  posts: [] as { url: string; init: RequestInit; waiting: string[] }[],
  answer: (_url: string): Promise<Response> => Promise.reject(),
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

/** The posted body, without the fields that differ for each click. */
function bodies(): Record<string, string>[] {
  return posted().map(({ click_id, age_ms, ...body }) => body);
}

function posted(): { click_id: string; age_ms: number; expert_username: string }[] {
  return server.posts.map(({ init }) => JSON.parse(String(init.body)));
}

function experts(): string[] {
  return posted().map((body) => body.expert_username);
}

function waiting(): string[] {
  return Object.keys(localStorage ?? {}).filter((key) => key.startsWith("leadclicks "));
}

/** Lets everything happen that is due within this time. */
async function pass(ms = 2000): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

/** Whether a text has no lone half of a surrogate pair, which UTF-8 can't carry. */
const isWellFormed = (text: string) => Buffer.from(text).toString() === text;
const respond = (status: number, body: string | null, headers?: HeadersInit) => () =>
  Promise.resolve(new Response(body, { status, headers: headers ?? {} }));
const ACCEPTED = '{"status":"accepted"}';
const accept = respond(202, ACCEPTED);
/** As leadclicksd answers with this status. */
const status = (code: number) => (code === 202 ? accept : respond(code, '{"error":"…"}'));
const noConnection = () => Promise.reject(new TypeError("Failed to fetch"));
const jdoe = { email: "jane@example.com", expert_username: "jdoe", search_query: "pricing" };
const zoe = { ...jdoe, expert_username: "zoe" };

beforeEach(() => {
  vi.useFakeTimers();
  localStorage.clear();
  server.posts = [];
  server.answer = status(202);
  vi.stubGlobal("fetch", (url: string, init: RequestInit) => {
    server.posts.push({ url, init, waiting: waiting() });
    return server.answer(url);
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

describe("the post", () => {
  test("is the contract's, sent within the call", async () => {
    const capture = await loadPage();
    expect(capture(jdoe)).toBeUndefined();
    expect(server.posts.map(({ url, init }) => ({ url, init }))).toEqual([
      {
        url: `${location.origin}/api/lead-clicks`,
        init: {
          method: "POST",
          body: expect.stringMatching(
            /^{"email":"jane@example.com","expert_username":"jdoe","search_query":"pricing","click_id":".{36}","age_ms":0}$/,
          ),
          keepalive: true,
          credentials: "omit",
          signal: expect.any(AbortSignal),
        },
      },
    ]);
  });

  test("is the contract's also in a browser without AbortSignal.timeout", async () => {
    vi.stubGlobal("AbortSignal", {});
    const capture = await loadPage();
    capture(jdoe);
    await pass();
    expect(experts()).toEqual(["jdoe"]);
    expect(waiting()).toEqual([]);
  });

  test("has an identity that is a UUID of version 7, and never the same", async () => {
    const capture = await loadPage();
    for (let click = 0; click < 1000; click++) capture({ ...jdoe, expert_username: `e${click}` });
    page.dispatchEvent(new Event("pagehide"));
    const ids = posted().map(({ click_id }) => click_id);
    expect(new Set(ids).size).toBe(1000);
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(Number.parseInt(ids[0]?.slice(0, 13).replace("-", "") ?? "", 16)).toBe(Date.now());
  });

  test("is text without a preflight on another origin", async () => {
    const capture = await loadPage();
    capture(jdoe, { endpoint: "https://leads.example.com/api/lead-clicks" });
    expect(server.posts[0]?.url).toBe("https://leads.example.com/api/lead-clicks");
    expect(server.posts[0]?.init.headers).toBeUndefined();
  });

  test("goes to the page's own origin if a template left the endpoint empty", async () => {
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

  test("has an empty search if there was none", async () => {
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

  test("counts even if the clock was set back", async () => {
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

  test("are posted after an unanswered click of a page in the back-forward cache", async () => {
    const capture = await loadPage();
    server.answer = () => new Promise(() => {});
    capture(jdoe);
    page.dispatchEvent(new Event("pagehide"));
    server.answer = accept;
    page.dispatchEvent(new Event("pageshow"));
    await pass(1);
    expect(experts()).toEqual(["jdoe", "jdoe"]);
    capture(zoe);
    await pass();
    expect(experts()).toEqual(["jdoe", "jdoe", "zoe"]);
    expect(waiting()).toEqual([]);
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

  test.each([
    [202, ACCEPTED],
    [413, '{"error":"the body is over 32768 bytes"}'],
    [422, '{"detail":[{"type":"value_error","loc":["body","email"],"msg":"…"}]}'],
  ])("does not wait after leadclicksd's %i", async (code, body) => {
    const capture = await loadPage();
    server.answer = respond(code, body);
    capture(jdoe);
    await pass();
    expect(localStorage).toHaveLength(0);
  });

  test.each([
    [200, ACCEPTED],
    [200, "<!doctype html>Log in"],
    [202, "<!doctype html>Log in"],
    [202, '{"status":"queued"}'],
    [202, ""],
    [204, null],
    [400, '{"error":"…"}'],
    [403, '{"error":"…"}'],
    [404, '{"error":"…"}'],
    [405, '{"error":"…"}'],
    [408, '{"error":"…"}'],
    [413, "<html><title>413 Request Entity Too Large</title>"],
    [415, '{"error":"…"}'],
    [422, "<html>"],
    [431, '{"error":"…"}'],
  ])("waits after %i %s, and the others do not wait for it", async (code, body) => {
    const capture = await loadPage();
    server.answer = noConnection;
    capture(jdoe);
    await pass(10);
    capture(zoe);
    await pass();
    server.posts = [];
    server.answer = () => (server.posts.length === 1 ? respond(code, body)() : accept());
    page.dispatchEvent(new Event("online"));
    await pass();
    expect(experts()).toEqual(["jdoe", "zoe"]);
    expect(waiting()).toHaveLength(1);
    expect(waiting()[0]).toContain(posted()[0]?.click_id);
    server.answer = status(202);
    await pass(300_000);
    expect(experts()).toEqual(["jdoe", "zoe", "jdoe"]);
    expect(waiting()).toEqual([]);
  });

  test("does not flood a server that knows nothing of clicks", async () => {
    const capture = await loadPage();
    server.answer = status(404);
    for (let expert = 0; expert < 20; expert++) {
      capture({ ...jdoe, expert_username: `e${expert}` });
      await pass(100);
    }
    expect(server.posts).toHaveLength(20);
  });

  test("is written down before it is posted", async () => {
    const capture = await loadPage();
    capture(jdoe);
    expect(server.posts[0]?.waiting).toEqual([
      expect.stringMatching(
        new RegExp(`^leadclicks ${Date.now()} ${location.origin}/api/lead-clicks ${posted()[0]?.click_id}$`),
      ),
    ]);
    await pass();
    expect(localStorage).toHaveLength(0);
  });

  test("is the same click at each attempt, and says how old it is", async () => {
    const capture = await loadPage();
    server.answer = noConnection;
    capture(jdoe);
    await pass(2000);
    page.dispatchEvent(new Event("online"));
    await pass(500);
    server.answer = accept;
    await loadPage();
    expect(new Set(posted().map(({ click_id }) => click_id)).size).toBe(1);
    expect(posted().map(({ age_ms }) => age_ms)).toEqual([0, 2000, 2500]);
  });

  test("is tried again after pauses that grow up to a minute, with a random part", async () => {
    const times: number[] = [];
    vi.spyOn(Math, "random").mockReturnValue(0.5);
    const capture = await loadPage();
    server.answer = () => {
      times.push(Date.now());
      return noConnection();
    };
    capture(jdoe);
    await pass(600_000);
    const pausesMs = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    expect(pausesMs).toEqual([4500, 9000, 18_000, 36_000, 72_000, ...Array(5).fill(90_000)]);
  });

  test("is delivered by time on a page that stays", async () => {
    const capture = await loadPage();
    server.answer = noConnection;
    capture(jdoe);
    await pass();
    server.answer = accept;
    await pass(4000);
    expect(experts()).toEqual(["jdoe", "jdoe"]);
    expect(waiting()).toEqual([]);
    await pass(DAY_MS);
    expect(server.posts).toHaveLength(2);
  });

  test.each([
    ["30", 30_000],
    ["Wed, 01 Jan 2020 00:00:00 GMT", 3000],
  ])("waits as long as Retry-After: %s says, whatever happens", async (header, waitMs) => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    const capture = await loadPage();
    server.answer = respond(429, '{"error":"…"}', { "Retry-After": header });
    capture(jdoe);
    server.answer = accept;
    for (let ms = 1000; ms < waitMs; ms += 1000) {
      await pass(1000);
      if (waitMs > 3000) page.dispatchEvent(new Event("online"));
    }
    expect(experts()).toEqual(["jdoe"]);
    await pass(60_000);
    expect(experts()).toEqual(["jdoe", "jdoe"]);
    expect(waiting()).toEqual([]);
  });

  test.each(["pageshow", "visibilitychange"])("is delivered on %s", async (event) => {
    const capture = await loadPage();
    server.answer = noConnection;
    capture(jdoe);
    await pass();
    server.answer = accept;
    page.dispatchEvent(new Event(event));
    await pass(1);
    expect(experts()).toEqual(["jdoe", "jdoe"]);
  });

  test("is not delivered by a page that is hidden, as one that is loaded ahead is", async () => {
    const capture = await loadPage();
    server.answer = noConnection;
    capture(jdoe);
    await pass();
    server.posts = [];
    server.answer = accept;
    const hidden = vi.spyOn(document, "hidden", "get").mockReturnValue(true);
    await loadPage();
    page.dispatchEvent(new Event("pageshow"));
    await pass(60_000);
    expect(server.posts).toEqual([]);
    hidden.mockReturnValue(false);
    page.dispatchEvent(new Event("visibilitychange"));
    await pass(1);
    expect(experts()).toEqual(["jdoe"]);
  });

  test.each([
    ["can't be reached", noConnection],
    ["answers 503", status(503)],
    ["knows nothing of clicks", status(404)],
  ])("does not wait for another endpoint that %s", async (_, answer) => {
    const capture = await loadPage();
    server.answer = noConnection;
    for (const expert_username of ["e1", "e2"]) {
      capture({ ...jdoe, expert_username }, { endpoint: "https://dead.example.com/" });
      await pass(10);
    }
    capture(zoe);
    await pass();
    server.posts = [];
    server.answer = (url) => (url.includes("dead") ? answer() : accept());
    await loadPage();
    expect(experts()).toContain("zoe");
    expect(waiting()).toHaveLength(2);
    capture({ ...jdoe, expert_username: "amina" });
    await pass();
    expect(experts()).toContain("amina");
    expect(waiting()).toHaveLength(2);
  });

  test.each([
    [-3_600_000, 1],
    [3_600_000, 1],
    [-DAY_MS, 0],
    [DAY_MS, 0],
  ])("where the clock is set by %i ms meanwhile, is delivered %i times", async (setMs, times) => {
    const capture = await loadPage();
    server.answer = noConnection;
    capture(jdoe);
    vi.setSystemTime(Date.now() + setMs);
    server.posts = [];
    server.answer = accept;
    await loadPage();
    expect(posted().map(({ age_ms }) => age_ms)).toEqual(Array(times).fill(setMs));
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

  test("is delivered by the next page to its original endpoint", async () => {
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

  test("is delivered also if the script of version 0.1.0 left it, without an id", async () => {
    const { email, expert_username, search_query } = jdoe;
    const body = JSON.stringify({ email, expert_username, search_query });
    localStorage[`leadclicks ${Date.now() - 60_000.5} ${location.origin}/api/lead-clicks`] = body;
    await loadPage();
    expect(bodies()).toEqual([{ email, expert_username, search_query }]);
    expect(posted()[0]?.click_id).toMatch(/^[0-9a-f-]{36}$/);
    expect(waiting()).toEqual([]);
  });

  test("keeps waiting after a failed attempt, and so do the others", async () => {
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

  test("tolerates foreign data in storage", async () => {
    localStorage.setItem("leadclicks ", "{");
    localStorage.setItem("leadclicks x y", "null");
    localStorage.setItem("theirs", "kept");
    await loadPage();
    expect({ ...localStorage }).toEqual({ theirs: "kept" });
    expect(server.posts).toEqual([]);
  });
});

test("if storage is full, a click is still posted, once", async () => {
  const full = new Proxy(localStorage, {
    set() {
      throw new DOMException("full", "QuotaExceededError");
    },
  });
  vi.stubGlobal("localStorage", full);
  const capture = await loadPage();
  capture(jdoe);
  await pass();
  server.answer = noConnection;
  capture(zoe);
  await pass(60_000);
  expect(experts()).toEqual(["jdoe", "zoe"]);
  expect(localStorage).toHaveLength(0);
});

describe("the console", () => {
  async function logOf(debug: boolean): Promise<string[]> {
    const log = vi.spyOn(console, "log").mockReturnValue();
    if (debug) localStorage.leadclicksDebug = "yes";
    const capture = await loadPage();
    const { optIn, optOut } = await import("../../src/index.js");
    capture({ ...jdoe, email: null });
    capture(jdoe);
    capture(jdoe);
    server.answer = status(404);
    capture(zoe);
    await pass();
    server.answer = noConnection;
    capture({ ...jdoe, expert_username: "amina" });
    await pass();
    capture(jdoe, { endpoint: "https://" });
    optOut();
    capture(jdoe);
    optIn();
    return log.mock.calls.map(([line]) => line);
  }

  test("explains what happened to each click once it is switched on", async () => {
    const endpoint = `${location.origin}/api/lead-clicks`;
    expect(await logOf(true)).toEqual([
      "leadclicks no email",
      "leadclicks repeat",
      `leadclicks 202 ${endpoint}`,
      `leadclicks 404 ${endpoint}`,
      `leadclicks TypeError: Failed to fetch ${endpoint}`,
      expect.stringMatching(/^leadclicks TypeError: .*Invalid URL/),
      "leadclicks optOut",
    ]);
  });

  test("is silent otherwise", async () => {
    expect(await logOf(false)).toEqual([]);
  });
});

describe("opting out", () => {
  test("is looked at before anything is written", async () => {
    const capture = await loadPage();
    const { optOut } = await import("../../src/index.js");
    optOut();
    const written = vi.fn();
    vi.stubGlobal("localStorage", new Proxy(localStorage, { set: written }));
    capture(jdoe);
    await pass();
    expect({ ...localStorage }).toEqual({ leadclicksOptOut: "yes" });
    expect(server.posts).toEqual([]);
    expect(written).not.toHaveBeenCalled();
  });

  test("ends the recording and deletes waiting clicks, until it is revoked", async () => {
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

  test("stops a delivery, and clicks that wait for another click's answer", async () => {
    const capture = await loadPage();
    const { optOut } = await import("../../src/index.js");
    server.answer = noConnection;
    for (const expert_username of ["e1", "e2", "e3"]) {
      capture({ ...jdoe, expert_username });
      await pass(10);
    }
    await pass();
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

  test("is delivered even if locks are forbidden, without an error on the page", async () => {
    const onRejection = vi.fn();
    process.on("unhandledRejection", onRejection);
    stubLocks(() => Promise.reject(new DOMException("Access to the Locks API is denied", "SecurityError")));
    await loadPage();
    process.off("unhandledRejection", onRejection);
    expect(experts()).toEqual(["jdoe"]);
    expect(onRejection).not.toHaveBeenCalled();
  });
});
