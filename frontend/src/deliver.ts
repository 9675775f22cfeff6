import { hasOptedOut } from "./optOut.js";
import { outbox, type Parcel, PREFIX } from "./outbox.js";
import { storage, store } from "./storage.js";

/** More than a visitor clicks in a day without a connection. What finds the outbox full is dropped. */
const OUTBOX_LENGTH_MAX = 50;

/** This page's clicks that are not done with; the first is being posted. */
const queue: Parcel[] = [];

/**
 * Posts a click: at once, unless another is being posted, since on two connections they could overtake each other. What
 * can't be delivered goes into the outbox. Never rejects.
 */
export async function deliver(endpoint: URL, body: string): Promise<void> {
  // The fraction tells apart what two tabs do in the same millisecond.
  if (queue.push([`${PREFIX}${Date.now() + Math.random()} ${endpoint}`, body]) > 1) return;
  for (; queue[0]; queue.shift()) if (await post(queue[0])) deliverOutbox();
}

/**
 * Posts what the outbox holds, one after the other, until that fails. One tab at a time does so: the browser tells them
 * all at once that it is online, and each would see the outbox as it was before the others took from it.
 */
function deliverOutbox() {
  const postAll = async () => {
    for (const key of outbox()) {
      const body = storage[key];
      delete storage[key];
      if (body && !(await post([key, body]))) return;
    }
  };
  // A page without TLS has no locks, and one in a sandbox may not ask for any.
  navigator.locks?.request(PREFIX, postAll).catch(postAll) ?? postAll();
}

/**
 * Whether a click is done with: stored, or refused for good, or unwanted. Otherwise it waits in the outbox, or the page
 * was left meanwhile. Never rejects.
 */
async function post([key, body]: Parcel): Promise<boolean> {
  if (hasOptedOut()) return true;
  const endpoint = key.split(" ")[2] as string;
  try {
    const { status } = await fetch(endpoint, {
      method: "POST",
      body,
      // The request outlives the page. A browser allows 64 KiB of such bodies at a time, and fails what goes beyond:
      // https://fetch.spec.whatwg.org/#http-network-or-cache-fetch
      keepalive: true,
      // To another origin text goes as text/plain, without a preflight, which could die with the page.
      headers: endpoint.startsWith(`${location.origin}/`) ? { "Content-Type": "application/json" } : {},
    });
    // What else there is blames the click (and 408 a slow network): sending it again would not help.
    if (status < 500 && status !== 429) return true;
  } catch {
    // No connection; or CORS, a content security policy or an extension of the browser's is in the way. But Chromium
    // also rejects the fetch of a page that is left, while the request goes on. Such a click must not be sent again;
    // such a page does not live to see its next task. (It does if the visitor stops the loading just then, and the
    // click counts twice.)
    await new Promise((resolve) => setTimeout(resolve));
  }
  if (!hasOptedOut() && outbox().length < OUTBOX_LENGTH_MAX) store(key, body);
  return false;
}

if (typeof window !== "undefined") {
  addEventListener("online", deliverOutbox);
  // The page may never run again: what waits for its turn is posted at once.
  addEventListener("pagehide", () => queue.splice(1).forEach(post));
  deliverOutbox();
}
