import { outbox } from "./outbox.js";
import { storage, store } from "./storage.js";

/**
 * Ends the recording of this visitor's clicks, in this browser and on this site, until {@link optIn}. What waits to be
 * delivered is deleted, and what waits for another click's answer is not sent. Where the site's quota of storage is
 * used up the browser can't keep the visitor's choice; `hasOptedOut` tells.
 */
export function optOut(): void {
  for (const key of outbox()) delete storage[key];
  store("leadclicksOptOut", "yes");
}

/** Lets the visitor's clicks be recorded again. */
export function optIn(): void {
  delete storage.leadclicksOptOut;
}

/** Whether the visitor opted out. */
export function hasOptedOut(): boolean {
  return !!storage.leadclicksOptOut;
}
