/** Things that are not posted for now: an endpoint, a click by its key, or equal clicks by their body. */
export const held: Record<string, boolean> = {};

export function hold(name: string, forMs: number): void {
  held[name] = true;
  setTimeout(() => delete held[name], forMs);
}
