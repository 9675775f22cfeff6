import { PREFIX } from "./prefix.js";
import { storage } from "./storage.js";

/** More than a visitor clicks in a day without a connection. Further clicks are not kept. */
const LENGTH_MAX = 50;

/** A day. Older clicks are deleted without being sent. */
const WAIT_MS_MAX = 86_400_000;

/**
 * The keys of the outbox, oldest first. Deletes clicks beyond the maximum number or age.
 *
 * The outbox has the clicks that leadclicksd has not answered yet, each under its own key, because two tabs that change
 * one list would undo each other's changes. The key is `leadclicks <time of the click in ms> <endpoint>
 * <click_id>`, so that keys sort by time. The value is the body without `click_id` and `age_ms`.
 */
export function outbox(): string[] {
  return (
    Object.keys(storage)
      .filter((key) => key.startsWith(PREFIX))
      .sort()
      // A time in the future means that the clock has been set back.
      .filter(
        (key, i) =>
          (i < LENGTH_MAX && Math.abs(Date.now() - +(key.split(" ")[1] as string)) < WAIT_MS_MAX) ||
          !delete storage[key],
      )
  );
}
