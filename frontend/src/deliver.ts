import { newClickId } from "./clickId.js";
import { explain } from "./debug.js";
import { held, hold } from "./hold.js";
import { hasOptedOut } from "./optOut.js";
import { outbox } from "./outbox.js";
import { PREFIX } from "./prefix.js";
import { storage, store } from "./storage.js";

/** Each click sets the pause before the next attempt to this, and each attempt doubles it. */
const PAUSE_MS_MIN = 1500;

/** The longest pause. At random, each is up to twice as long, so that visitors do not come back all at once. */
const PAUSE_MS_MAX = 60_000;

/** How long an endpoint that has failed is left alone, whatever happens, unless its `Retry-After` says otherwise. */
const REST_S = 1;

/** How long a click is left alone whose answer is not leadclicksd's. The others may do better meanwhile. */
const STRANGE_REST_S = 60;

/** Who has not answered by then is taken for unreachable. */
const ANSWER_MS_MAX = 30_000;

/**
 * How leadclicksd's answers begin, after their status, that a click is stored or never can be. At the same status others
 * send something else: a proxy its error page, a service worker what it shows offline.
 */
const FINAL_ANSWER = /^(202{"status":"accepted"|4(13{"error"|22{"detail"))/;

/** The keys of this page's clicks that were not posted yet; the first is being posted. */
const queue: string[] = [];

/** The bodies of clicks that were not posted yet, by key. If storage is full, they are nowhere else, and posted once. */
const bodies: Record<string, string> = {};

let pauseMs = PAUSE_MS_MIN;

let timer: ReturnType<typeof setTimeout> | undefined;

/**
 * Writes a click into the outbox, then posts it: at once, unless another of this page is being posted, since on two
 * connections they could overtake each other.
 */
export function deliver(endpoint: URL, body: string): void {
  const key = `${PREFIX}${Date.now()} ${endpoint} ${newClickId()}`;
  pauseMs = PAUSE_MS_MIN;
  bodies[key] = body;
  store(key, body);
  if (queue.push(key) < 2) postAll(queue).then(deliverOutbox);
}

/** Posts what is in the outbox, now and as long as something is. */
async function deliverOutbox(): Promise<void> {
  // Among others, a page is hidden that is loaded ahead, for a visitor who may never see it.
  if (document.hidden) return;
  // One tab at a time: the browser tells all of them at once that it is online.
  const postOutbox = () => postAll(outbox());
  // A page without TLS has no locks, and one in a sandbox may not ask for any.
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
  // Without a body another tab was faster.
  if (!body || hasOptedOut() || held[endpoint] || held[key]) return;

  let failed = endpoint;
  let restS = REST_S;
  try {
    const answer = await fetch(endpoint, {
      method: "POST",
      // As text/plain, which needs no preflight: that could die with the page, and a sandboxed page needs one even to
      // its own origin. The body is not parsed: whether it is valid is for leadclicksd to say.
      body: body.replace(/}$/, `,"click_id":"${id}","age_ms":${Date.now() - +time}}`),
      // The request outlives the page. A browser allows 64 KiB of such bodies at a time, and fails what goes beyond:
      // https://fetch.spec.whatwg.org/#http-network-or-cache-fetch
      keepalive: true,
      // leadclicksd has no use for cookies, and refuses more than 16 KiB of them.
      credentials: "omit",
      // Older browsers have none.
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
    // No connection; or CORS, a content security policy or an extension of the browser's is in the way.
    explain(`${error} ${endpoint}`);
  }
  hold(failed, restS * 1000);
}

if (typeof window !== "undefined") {
  addEventListener("online", deliverOutbox);
  addEventListener("pageshow", deliverOutbox);
  addEventListener("visibilitychange", deliverOutbox);
  addEventListener("pagehide", () => {
    // The page may never run again: what waits for its turn is posted at once. If it does, as it was (from the
    // back-forward cache), what is being posted now may never be answered.
    queue.splice(0).slice(1).forEach(post);
    for (const name in held) delete held[name];
  });
  deliverOutbox();
}
