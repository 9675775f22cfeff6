import { storage, store } from "./storage.js";

/**
 * Ends the recording of this visitor's clicks, in this browser and on this site, until {@link optIn}. What still waits to
 * be delivered is never sent.
 */
export function optOut(): void {
  store("leadclicksOptOut", "yes");
}

/** Takes back {@link optOut}. */
export function optIn(): void {
  delete storage.leadclicksOptOut;
}

/** Whether the visitor opted out. */
export function hasOptedOut(): boolean {
  return !!storage.leadclicksOptOut;
}
