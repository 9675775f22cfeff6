import { create } from "zustand";
import { createJSONStorage, persist } from "zustand/middleware";
import { storage, store } from "../storage.js";

/** Whether the visitor passed the email gate (of the newsletter), and so is a lead. */
export interface NltrState {
  readonly subscribed: boolean;
  /** `null` as long as the visitor is not a lead. */
  readonly email: string | null;
  /** The visitor left an email; white space around it is dropped, and a blank one does nothing. */
  setSubscribed(email: string): void;
  /** Forgets the visitor, in this browser. Clicks that wait to be delivered stay; `optOut` deletes them too. */
  clear(): void;
}

export interface NltrStoreOptions {
  /** The key in localStorage; by default `"nltr"`. */
  readonly storageKey?: string | undefined;
}

const NOBODY = { subscribed: false, email: null };

/** A store that keeps the email in localStorage, synchronised between the site's tabs; in memory if that is forbidden. */
export function createNltrStore({ storageKey = "nltr" }: NltrStoreOptions = {}) {
  const useStore = create<NltrState>()(
    persist(
      (set) => ({
        ...NOBODY,
        setSubscribed: (email) => {
          if (email.trim()) set({ subscribed: true, email: email.trim() });
        },
        clear: () => set(NOBODY),
      }),
      {
        name: storageKey,
        // A value of another version, or of the page's own store, is read, too.
        version: 1,
        migrate: (persisted) => persisted,
        partialize: ({ subscribed, email }) => ({ subscribed, email }),
        merge: (persisted, current) => ({ ...current, ...visitor(persisted) }),
        storage: createJSONStorage(() => ({
          getItem: (key) => storage[key] ?? null,
          setItem: store,
          removeItem: (key) => {
            delete storage[key];
          },
        })),
      },
    ),
  );
  if (typeof window !== "undefined") {
    // Another tab subscribed or cleared; a key of null means that it cleared all of its storage.
    addEventListener("storage", ({ key }) => {
      if (key === storageKey || key === null) void useStore.persist.rehydrate();
    });
  }
  return useStore;
}

/** The stored value, if it has the shape that {@link createNltrStore} writes: others may have written there. */
function visitor(persisted: unknown) {
  const { subscribed, email } = (persisted ?? {}) as Record<string, unknown>;
  return subscribed === true && typeof email === "string" && email ? { subscribed, email } : NOBODY;
}

/** The visitor: a hook inside React, `useNltrStore.getState()` outside. */
export const useNltrStore = createNltrStore();
