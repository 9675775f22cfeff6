import { PREFIX } from "./prefix.js";
import { storage } from "./storage.js";

/**
 * Writes to the console why a click is not sent, and which answers arrive, if `localStorage.leadclicksDebug = "yes"`
 * was entered there. The text must not contain an email or a search, because analytics may record the console.
 */
export function explain(text: unknown): void {
  // biome-ignore lint/suspicious/noConsole: the switch asks for it.
  if (storage.leadclicksDebug) console.log(PREFIX + text);
}
