import type { LeadClickBody } from "./contract.js";
import { explain } from "./debug.js";
import { deliver } from "./deliver.js";
import { held, hold } from "./hold.js";
import { hasOptedOut } from "./optOut.js";

/** The default endpoint: the daemon's default path on the page's origin. */
const DEFAULT_ENDPOINT = "/api/lead-clicks";

/** Equal clicks within this time count as one: a double click, which takes up to 900 ms by the system's settings. */
const REPEAT_MS_MAX = 1000;

/** A click: the lead, the expert and the search, named as in the daemon's contract. */
export interface LeadClick {
  /** The visitor's email. Without one the visitor is not a lead, and nothing is sent. */
  readonly email: string | null | undefined;
  /** The expert; truncated to 100 characters. */
  readonly expert_username: string;
  /** The visitor's search; truncated to 2000 characters. */
  readonly search_query?: string | null | undefined;
}

export interface CaptureOptions {
  /** The daemon's address, absolute or relative to the page; by default {@link DEFAULT_ENDPOINT}. */
  readonly endpoint?: string | undefined;
}

/**
 * Posts to leadclicksd that a lead clicked an expert's card. Call it in the click's handler and go on: it returns at
 * once, its request outlives the page, and it never throws, rejects or logs anything into the page, unless
 * `localStorage.leadclicksDebug` is set. Clicks arrive in the order of the calls, as long as the page stays and each
 * gets through. The same click again within a second does not count. Nothing is stored or sent once the visitor opted
 * out.
 *
 * What it stores in the visitor's browser: before a click is posted it is written to localStorage, under a key that
 * begins with `leadclicks `, with the email, the expert, the search, the time, the endpoint and an identity of its own.
 * It is removed when leadclicksd answers that it is stored (202) or never will be (413, 422). Without that answer it is
 * posted again: after a pause that grows, after the next click that gets through, when the browser is online again, when
 * the page is shown again, and when a page with this module loads. leadclicksd knows the click by its identity and
 * stores it once. At most 50 clicks wait. Those older than a day are deleted without being sent. There are no
 * cookies.
 *
 * What it does not do: an email beyond the daemon's 320 characters is not cut, because the rest would be somebody else's
 * address: the daemon refuses it. If localStorage is forbidden, a click waits only as long as its page; if it is full,
 * a click is posted once.
 */
export function captureLeadClick(click: LeadClick, options?: CaptureOptions): void {
  try {
    capture(click.email, click.expert_username, click.search_query, options?.endpoint);
  } catch (error) {
    explain(error);
  }
}

/** {@link captureLeadClick}, for the drop-in. Never throws. */
export function capture(
  email: LeadClick["email"],
  expert: string,
  query: LeadClick["search_query"],
  endpoint: CaptureOptions["endpoint"],
): void {
  try {
    const address = email?.trim();
    if (!address) throw "no email";
    if (hasOptedOut()) throw "optOut";

    const url = new URL(endpoint || DEFAULT_ENDPOINT, location.href);
    // The daemon's limit, in Unicode characters.
    const body = JSON.stringify({
      email: address,
      expert_username: cut(expert.trim(), /.{0,100}/su),
      search_query: cut(query ?? "", /.{0,2000}/su),
    } satisfies LeadClickBody);

    if (held[body]) throw "repeat";
    hold(body, REPEAT_MS_MAX);
    deliver(url, body);
  } catch (error) {
    // An error in the click or the browser must not reach the page.
    explain(error);
  }
}

/** The match of the pattern. Half a surrogate pair (of an emoji that the page cut) is not valid in JSON: U+FFFD. */
function cut(text: string, pattern: RegExp): string {
  return (pattern.exec(text) as RegExpExecArray)[0].replace(/\p{Cs}/gu, "\ufffd");
}
