import { newClickId } from "./clickId.js";
import { explain } from "./debug.js";
import { held, hold } from "./hold.js";
import { hasOptedOut } from "./optOut.js";
import { outbox } from "./outbox.js";
import { PREFIX } from "./prefix.js";
import { storage, store } from "./storage.js";

/** Each click sets the pause before the next attempt to this, and each attempt doubles it. */
const PAUSE_MS_MIN = 1500;

/** The longest pause, before random jitter up to twice as long, so that visitors do not retry all at once. */
const PAUSE_MS_MAX = 60_000;

/** How long nothing is posted to an endpoint after a failure, unless its `Retry-After` says otherwise. */
const REST_S = 1;

/** How long a click is not posted after an answer that is not leadclicksd's. Other clicks are posted meanwhile. */
const STRANGE_REST_S = 60;

/** An endpoint that has not answered by then counts as unreachable. */
const ANSWER_MS_MAX = 30_000;

/**
 * The beginnings of leadclicksd's final answers after their status: the click is stored, or never can be. With the same
 * status, a proxy sends its error page, and a service worker its offline page.
 */
const FINAL_ANSWER = /^(202{"status":"accepted"|4(13{"error"|22{"detail"))/;

/** The keys of this page's clicks that were not posted yet; the first is being posted. */
const queue: string[] = [];

/** The bodies of clicks that were not posted yet, by key. If storage is full, they are nowhere else, and posted once. */
const bodies: Record<string, string> = {};

let pauseMs = PAUSE_MS_MIN;

let timer: ReturnType<typeof setTimeout> | undefined;

/**
 * Writes a click into the outbox, then posts it: at once, unless another click of this page is being posted. On two
 * connections one could overtake the other.
 */
export function deliver(endpoint: URL, body: string): void {
  const key = `${PREFIX}${Date.now()} ${endpoint} ${newClickId()}`;
  pauseMs = PAUSE_MS_MIN;
  bodies[key] = body;
  store(key, body);
  if (queue.push(key) < 2) postAll(queue).then(deliverOutbox);
}

/** Posts the outbox, until it is empty. */
async function deliverOutbox(): Promise<void> {
  // A hidden page may be prerendered, and its visitor may never see it.
  if (document.hidden) return;
  // One tab at a time: the `online` event reaches all of them at once.
  const postOutbox = () => postAll(outbox());
  // A page without TLS has no locks, and a sandboxed page may not request any.
  await (navigator.locks?.request(PREFIX, postOutbox).catch(postOutbox) ?? postOutbox());
  clearTimeout(timer);
  if (!outbox()[0]) return;
  pauseMs *= 2;
  timer = setTimeout(deliverOutbox, Math.min(pauseMs, PAUSE_MS_MAX) * (1 + Math.random()));
}

/** Posts clicks one after the other, and empties their list. */
async function postAll(keys: string[]): Promise<void> {
  for (; keys[0]; keys.shift()) await post(keys[0]);
}

/** Posts a click, unless its endpoint has just failed. Never rejects. */
async function post(key: string): Promise<void> {
  const body = storage[key] ?? bodies[key];
  delete bodies[key];
  // The script of version 0.1.0 left clicks without an id.
  const [, time, endpoint, id = newClickId()] = key.split(" ") as [string, string, string, string?];
  // If there is no body, another tab has delivered the click.
  if (!body || hasOptedOut() || held[endpoint] || held[key]) return;

  let failed = endpoint;
  let restS = REST_S;
  try {
    const answer = await fetch(endpoint, {
      method: "POST",
      // As text/plain, which needs no preflight: that could die with the page, and a sandboxed page needs one even to
      // its own origin. The body is not parsed: leadclicksd decides whether it is valid.
      body: body.replace(/}$/, `,"click_id":"${id}","age_ms":${Date.now() - +time}}`),
      // The request outlives the page. A browser allows 64 KiB of such bodies at a time, and fails requests beyond it:
      // https://fetch.spec.whatwg.org/#http-network-or-cache-fetch
      keepalive: true,
      // leadclicksd does not use cookies, and refuses more than 16 KiB of them.
      credentials: "omit",
      // Older browsers do not have it.
      signal: AbortSignal.timeout?.(ANSWER_MS_MAX) as AbortSignal,
    });
    const status = answer.status;
    explain(`${status} ${endpoint}`);
    if (FINAL_ANSWER.test(status + (await answer.text()))) {
      delete storage[key];
      return;
    }
    if (status === 429 || status >= 500) {
      restS = +(answer.headers.get("Retry-After") as string) || restS;
    } else {
      failed = key;
      restS = STRANGE_REST_S;
    }
  } catch (error) {
    // No connection; or CORS, a content security policy or a browser extension blocked it.
    explain(`${error} ${endpoint}`);
  }
  hold(failed, restS * 1000);
}

if (typeof window !== "undefined") {
  addEventListener("online", deliverOutbox);
  addEventListener("pageshow", deliverOutbox);
  addEventListener("visibilitychange", deliverOutbox);
  addEventListener("pagehide", () => {
    // The page may never run again, so waiting clicks are posted at once. If it runs again, from the back-forward cache,
    // the current request may never be answered.
    queue.splice(0).slice(1).forEach(post);
    for (const name in held) delete held[name];
  });
  deliverOutbox();
}
