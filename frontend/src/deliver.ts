import { hasOptedOut } from "./optOut.js";
import { storage, store } from "./storage.js";

/**
 * A click on its way. Its key is the prefix, the time of the click in milliseconds, a space and the endpoint. If the click
 * has to wait, its body stands under this key in storage: the outbox. The clicks do not share one list there, because two
 * tabs that change it at a time would undo each other's changes.
 */
type Parcel = readonly [key: string, body: string];

const PREFIX = "leadclicks ";

/** A day. What waits for longer is deleted. */
const WAIT_MS_MAX = 86_400_000;

/** More than a visitor clicks in a day without a connection. What finds the outbox full is dropped. */
const OUTBOX_LENGTH_MAX = 50;

/**
 * A page does not look into the outbox as soon as it could: what the page before it took out in its last moments may still
 * seem to be there. Chromium was seen to need up to 50 ms.
 */
const SETTLE_MS = 1000;

/** This page's clicks that are not done with; the first is being posted. */
const queue: Parcel[] = [];
/**
 * Posts a click: at once, unless another is being posted, since on two connections they could overtake each other. What
 * can't be delivered goes into the outbox.
 */
export async function deliver(endpoint: URL, body: string): Promise<void> {
  // The fraction tells apart what two tabs do in the same millisecond.
  if (queue.push([`${PREFIX}${Date.now() + Math.random()} ${endpoint}`, body]) > 1) return;
  for (; queue[0]; queue.shift()) if (await post(queue[0])) deliverOutbox();
}

/**
 * Posts what the outbox holds, in a moment, one after the other, until that fails. One tab at a time does so: the browser
 * tells them all at once that it is online, and each would see the outbox as it was before the others took from it.
 */
function deliverOutbox() {
  const postAll = async () => {
    for (const key of outbox()) {
      const body = storage[key];
      delete storage[key];
      if (body && !(await post([key, body]))) return;
    }
  };
  // A page without TLS has no locks.
  setTimeout(() => navigator.locks?.request(PREFIX, postAll) ?? postAll(), SETTLE_MS);
}

/** Whether a click is done with: stored, or refused for good. Otherwise it waits in the outbox, or the page was left meanwhile. */
async function post([key, body]: Parcel): Promise<boolean> {
  const endpoint = key.split(" ")[2] as string;
  const isDone = await fetch(endpoint, {
    method: "POST",
    body,
    // The request outlives the page. A browser allows 64 KiB of such bodies at a time, and fails what goes beyond:
    // https://fetch.spec.whatwg.org/#http-network-or-cache-fetch
    keepalive: true,
    // To another origin text goes as text/plain, without a preflight, which could die with the page.
    headers: endpoint.startsWith(`${location.origin}/`) ? { "Content-Type": "application/json" } : {},
  }).then(
    // Where the status blames the click, sending it again would not help.
    ({ status }) => status < 500 && status !== 429,
    // No connection; or CORS, a content security policy or an extension of the browser's is in the way. But Chromium also
    // rejects the fetch of a page that is left, while the request goes on. Such a click must not be sent again; such a page
    // does not live to see its next task.
    () => new Promise<false>((resolve) => setTimeout(() => resolve(false))),
  );
  if (!isDone && outbox().length < OUTBOX_LENGTH_MAX) store(key, body);
  return isDone;
}

/** The keys of the outbox, oldest first. Deletes what is older than a day, and everything if the visitor opted out. */
function outbox(): string[] {
  return Object.keys(storage)
    .filter((key) => key.startsWith(PREFIX))
    .filter((key) => {
      const waitedMs = Date.now() - +(key.split(" ")[1] as string);
      return (waitedMs < WAIT_MS_MAX && !hasOptedOut()) || !delete storage[key];
    })
    .sort();
}

if (typeof window !== "undefined") {
  addEventListener("online", deliverOutbox);
  // The page may never run again: what waits for its turn is posted at once.
  addEventListener("pagehide", () => queue.splice(1).forEach(post));
  deliverOutbox();
}
