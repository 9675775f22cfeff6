import { deliver } from "./deliver.js";

/** Where clicks go unless said otherwise: the daemon's default path on the page's own origin. */
const DEFAULT_ENDPOINT = "/api/lead-clicks";

/** The daemon's limits, in Unicode characters (README, "What the page posts"). */
const EXPERT_USERNAME_LENGTH_MAX = 100;
const SEARCH_QUERY_LENGTH_MAX = 2000;

/** Equal clicks within this time are one: a double click, which systems let take half a second and up to 900 ms. */
const REPEAT_MS_MAX = 1000;

/** Who clicked whom after which search, in the words of the daemon's contract. */
export interface LeadClick {
  /** The visitor's email. Without one the visitor is no lead, and nothing is sent. */
  readonly email: string | null | undefined;
  /** The expert; what goes beyond 100 characters is cut off. */
  readonly expert_username: string;
  /** What the visitor had searched for; what goes beyond 2000 characters is cut off. */
  readonly search_query?: string | null | undefined;
}

export interface CaptureOptions {
  /** The daemon's address, absolute or relative to the page; {@link DEFAULT_ENDPOINT} without it. */
  readonly endpoint?: string | undefined;
}

/** When each click of this page was last captured, by its body. */
const capturedMs: Record<string, number> = {};

/**
 * Tells leadclicksd that a lead clicked an expert's card. Call it in the click's handler and go on: it returns at once,
 * its request outlives the page, and it never throws, rejects or logs anything into the page. Clicks arrive in the
 * order of the calls, as long as the page stays and each gets through. The same click again within a second does not
 * count. Nothing is sent once the visitor opted out.
 *
 * What it stores in the visitor's browser: a click that could not be delivered (no connection, or an answer 429 or 5xx)
 * waits in localStorage, under a key that begins with `leadclicks `, with the email, the expert, the search, the time
 * and the endpoint. It is sent again after the next click that gets through, when the browser is online again, and when
 * a page with this module loads. At most 50 clicks wait; what is older than a day is deleted then, and never sent. A
 * click that is delivered leaves nothing, and there are no cookies.
 *
 * What it does not do: a click whose page is gone before the answer is there is not sent again, because it would count
 * twice wherever only the answer was late. An email beyond the daemon's 320 characters is not cut, because the rest
 * would be somebody else's address: the daemon refuses it.
 */
export function captureLeadClick(click: LeadClick, options?: CaptureOptions): void {
  try {
    const email = click.email?.trim();
    if (!email) return;

    const endpoint = new URL(options?.endpoint || DEFAULT_ENDPOINT, location.href);
    const body = JSON.stringify({
      email,
      expert_username: cut(click.expert_username.trim(), EXPERT_USERNAME_LENGTH_MAX),
      search_query: cut(click.search_query ?? "", SEARCH_QUERY_LENGTH_MAX),
    });

    const now = Date.now();
    if (Math.abs(now - (capturedMs[body] ?? 0)) < REPEAT_MS_MAX) return;
    capturedMs[body] = now;
    deliver(endpoint, body);
  } catch {
    // Whatever is wrong with the click or the browser, the page goes on.
  }
}

/** The first `length` characters. Half a surrogate pair (of an emoji that the page cut) is no text for JSON: U+FFFD. */
function cut(text: string, length: number): string {
  return [...text]
    .slice(0, length)
    .join("")
    .replace(/\p{Cs}/gu, "\ufffd");
}
