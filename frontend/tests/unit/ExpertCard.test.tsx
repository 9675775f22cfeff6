import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  createExplorerStore,
  createNltrStore,
  type Expert,
  ExpertCard,
  type ExpertCardProps,
} from "../../src/react.js";

const JOHN: Expert = {
  username: "jdoe",
  first_name: "John",
  last_name: "Doe",
  job_title: "CFO",
  company: "Fairmark",
  hourly_rate: 180,
  currency: "USD",
  profile_url: "/experts/jdoe",
  photo_url: "/jdoe.jpg",
  tags: ["pricing", "pricing", "SaaS"],
  match_reason: "Knows pricing.",
};

let nltrStore: ReturnType<typeof createNltrStore>;
let explorerStore: ReturnType<typeof createExplorerStore>;
let posts: unknown[];

beforeEach(() => {
  localStorage.clear();
  nltrStore = createNltrStore();
  explorerStore = createExplorerStore();
  posts = [];
  vi.useFakeTimers();
  // happy-dom loads no images, and calls them complete all the same.
  vi.spyOn(HTMLImageElement.prototype, "complete", "get").mockReturnValue(false);
  vi.stubGlobal("fetch", async (_: string, { body }: RequestInit) => {
    const { click_id, age_ms, ...post } = JSON.parse(String(body));
    posts.push(post);
    return new Response('{"status":"accepted"}', { status: 202 });
  });
});

afterEach(async () => {
  cleanup();
  // So that no click counts as a repetition of another test's.
  await vi.advanceTimersByTimeAsync(2000);
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

function show(expert: Partial<Expert> = {}, props: Partial<ExpertCardProps> = {}): HTMLElement {
  const card = (
    <ExpertCard expert={{ ...JOHN, ...expert }} nltrStore={nltrStore} explorerStore={explorerStore} {...props} />
  );
  return render(card).container;
}

test("is a link to the profile, next to buttons outside it", () => {
  const card = show({}, { onBookmark: () => {}, onTag: () => {} });
  const link = screen.getByRole("link", { name: "John Doe" });
  expect(link.getAttribute("href")).toBe("/experts/jdoe");
  expect(link.querySelector("button")).toBeNull();
  expect(
    screen.getAllByRole("button").map((button) => button.getAttribute("aria-label") ?? button.textContent),
  ).toEqual(["Bookmark John Doe", "pricing", "SaaS"]);
  expect(card.textContent).toBe("John DoeCFO, Fairmark$180 per hourKnows pricing.pricingSaaS");
});

test("notifies the host page first, then captures the state of the stores at the click", () => {
  const events: unknown[] = [];
  const trackEvent = (...event: unknown[]) => events.push([event, posts.length]);
  show({}, { trackEvent });
  nltrStore.getState().setSubscribed("jane@example.com");
  explorerStore.getState().setQuery("pricing");
  fireEvent.click(screen.getByRole("link"));
  expect(events).toEqual([[["card_click", { expert_username: "jdoe", search_query: "pricing" }], 0]]);
  expect(posts).toEqual([{ email: "jane@example.com", expert_username: "jdoe", search_query: "pricing" }]);
});

test("notifies the host page of visitors who are not leads, and captures nothing", () => {
  const trackEvent = vi.fn();
  show({}, { trackEvent });
  fireEvent.click(screen.getByRole("link"));
  expect(trackEvent).toHaveBeenCalledOnce();
  expect(posts).toEqual([]);
});

test("captures also when the host page's analytics fail", () => {
  const onError = (event: ErrorEvent) => event.preventDefault();
  addEventListener("error", onError);
  const failure = vi.fn(() => {
    throw new Error("analytics");
  });
  show({}, { trackEvent: failure });
  nltrStore.getState().setSubscribed("jane@example.com");
  try {
    fireEvent.click(screen.getByRole("link"));
  } catch {
    // React hands the error on, as it would to the page.
  }
  removeEventListener("error", onError);
  expect(failure).toHaveBeenCalled();
  expect(posts).toHaveLength(1);
});

test("bookmarks and tags without a click on the card", () => {
  nltrStore.getState().setSubscribed("jane@example.com");
  const onBookmark = vi.fn();
  const onTag = vi.fn();
  const trackEvent = vi.fn();
  show({}, { onBookmark, onTag, trackEvent, isBookmarked: true });
  const bookmark = screen.getByRole("button", { name: "Bookmark John Doe", pressed: true });
  fireEvent.click(bookmark);
  fireEvent.click(screen.getByRole("button", { name: "SaaS" }));
  expect(onBookmark).toHaveBeenCalledExactlyOnceWith(JOHN);
  expect(onTag).toHaveBeenCalledExactlyOnceWith("SaaS");
  expect(trackEvent).not.toHaveBeenCalled();
  expect(posts).toEqual([]);
});

test("has no buttons without handlers", () => {
  show();
  expect(screen.queryAllByRole("button")).toEqual([]);
});

test.each([
  [null, null, "jdoe"],
  ["", " ", "jdoe"],
  ["John", null, "John"],
  [null, "Doe", "Doe"],
])("with the names %j and %j is called %s", (first_name, last_name, name) => {
  show({ first_name, last_name });
  expect(screen.getByRole("link").textContent).toBe(name);
});

test("shows initials if the photo is missing or does not load", () => {
  const without = show({ photo_url: null });
  expect(without.querySelector(".expert-card-photo")?.textContent).toBe("JD");
  cleanup();
  const broken = show();
  const photo = broken.querySelector("img");
  expect(photo?.getAttribute("src")).toBe("/jdoe.jpg");
  fireEvent.error(photo as HTMLImageElement);
  expect(broken.querySelector("img")).toBeNull();
  expect(broken.querySelector(".expert-card-photo")?.textContent).toBe("JD");
});

test.each([
  [180, "USD", "$180 per hour"],
  [195.5, "USD", "$195.50 per hour"],
  [2100, "SEK", "SEK 2,100 per hour"],
  [90, "credits", "90 credits per hour"],
  [90, null, "90 per hour"],
  [0, null, "0 per hour"],
  [0, "USD", "$0 per hour"],
])("writes the rate %j %j as %s", (hourly_rate, currency, written) => {
  const card = show({ hourly_rate, currency });
  expect(card.querySelector(".expert-card-rate")?.textContent?.replace(/\u00a0/g, " ")).toBe(written);
});

test("shows an expert of whom only the username is known", () => {
  const stores = { nltrStore, explorerStore };
  const { container } = render(<ExpertCard expert={{ username: "jdoe", profile_url: "/experts/jdoe" }} {...stores} />);
  expect(container.textContent).toBe("Jjdoe");
});
