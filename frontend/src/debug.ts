import { PREFIX } from "./prefix.js";
import { storage } from "./storage.js";

/**
 * Writes to the console why a click is not sent, and what answers come, once somebody has entered
 * `localStorage.leadclicksDebug = "yes"` there. The text must hold no email and no search: analytics may record the
 * console.
 */
export function explain(text: unknown): void {
  // biome-ignore lint/suspicious/noConsole: whoever set the switch asked for it.
  if (storage.leadclicksDebug) console.log(PREFIX + text);
}
