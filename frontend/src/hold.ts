/** What is not to be posted for now: an endpoint, a click by its key, or a click like another by its body. */
export const held: Record<string, boolean> = {};

export function hold(name: string, forMs: number): void {
  held[name] = true;
  setTimeout(() => delete held[name], forMs);
}
