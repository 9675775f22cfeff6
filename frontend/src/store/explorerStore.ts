import { create } from "zustand";

/** The visitor's search. */
export interface ExplorerState {
  /** The search as typed, `""` before the first. */
  readonly query: string;
  setQuery(query: string): void;
}

export function createExplorerStore() {
  return create<ExplorerState>()((set) => ({
    query: "",
    setQuery: (query) => set({ query }),
  }));
}

/** The page's search: a hook inside React, `useExplorerStore.getState()` outside. It lasts as long as the page. */
export const useExplorerStore = createExplorerStore();
