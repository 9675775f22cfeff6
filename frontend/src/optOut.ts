import { outbox } from "./outbox.js";
import { storage, store } from "./storage.js";

/**
 * Ends the recording of this visitor's clicks, in this browser and on this site, until {@link optIn}. Undelivered
 * clicks are deleted and not sent. If the site's storage quota is used up, the browser cannot store the choice;
 * `hasOptedOut` returns whether it did.
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
