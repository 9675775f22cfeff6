import { type Browser, launch } from "puppeteer-core";

export const BROWSERS = ["chrome", "firefox"] as const;

/** Debian's browsers, from its packages chromium and firefox-esr. */
const EXECUTABLES = { chrome: "/usr/bin/chromium", firefox: "/usr/bin/firefox-esr" };

/** Chromium can't put root's processes into its sandbox; the other flags keep it from calling home. */
const CHROMIUM_FLAGS = [
  ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-gpu",
  "--disable-quic",
  "--disable-sync",
  "--no-first-run",
];

/** A headless browser with a new profile. */
export function openBrowser(browser: (typeof BROWSERS)[number]): Promise<Browser> {
  const args = browser === "chrome" ? CHROMIUM_FLAGS : [];
  return launch({ browser, executablePath: EXECUTABLES[browser], headless: true, args });
}

/** The same in private mode. */
export function openPrivateBrowser(browser: (typeof BROWSERS)[number]): Promise<Browser> {
  const args = browser === "chrome" ? [...CHROMIUM_FLAGS, "--incognito"] : [];
  const extraPrefsFirefox = { "browser.privatebrowsing.autostart": true };
  return launch({ browser, executablePath: EXECUTABLES[browser], headless: true, args, extraPrefsFirefox });
}
