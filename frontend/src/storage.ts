/** What the browser keeps for this site, as properties to read and delete; {@link store} writes. */
export const storage: Record<string, string> = openStorage();

/** Writes, or does nothing where the site's quota of storage is used up. */
export function store(key: string, value: string): void {
  try {
    storage[key] = value;
  } catch {}
}

/** localStorage; where it is forbidden, or there is no browser, an object that lives as long as the page. */
function openStorage() {
  try {
    return localStorage ?? {};
  } catch {
    return {};
  }
}
