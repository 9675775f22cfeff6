/** The site's storage, as properties to read and delete; {@link store} writes. */
export const storage: Record<string, string> = openStorage();

/** Writes, or does nothing if the site's storage quota is used up. */
export function store(key: string, value: string): void {
  try {
    storage[key] = value;
  } catch {}
}

/** localStorage, or an object that lives as long as the page if it is forbidden or there is no browser. */
function openStorage() {
  try {
    return localStorage ?? {};
  } catch {
    return {};
  }
}
