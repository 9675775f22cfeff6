import { storage } from "./storage.js";

/**
 * A click on its way. Its key is the prefix, the time of the click in milliseconds, a space and the endpoint. If the
 * click has to wait, its body stands under this key in storage: the outbox. The clicks do not share one list there,
 * because two tabs that change it at a time would undo each other's changes.
 */
export type Parcel = readonly [key: string, body: string];

export const PREFIX = "leadclicks ";

/** A day. What has waited for longer is never sent. */
const WAIT_MS_MAX = 86_400_000;

/** The keys of the outbox, oldest first. Deletes what is older than a day. */
export function outbox(): string[] {
  return Object.keys(storage)
    .filter((key) => key.startsWith(PREFIX))
    .filter((key) => {
      // A time in the future means that the clock was set back since.
      const waitedMs = Math.abs(Date.now() - +(key.split(" ")[1] as string));
      return waitedMs < WAIT_MS_MAX || !delete storage[key];
    })
    .sort();
}
