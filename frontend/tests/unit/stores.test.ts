import { beforeEach, describe, expect, test, vi } from "vitest";
import { createExplorerStore, createNltrStore } from "../../src/react.js";

const nobody = { subscribed: false, email: null };
const jane = { subscribed: true, email: "jane@example.com" };

beforeEach(() => localStorage.clear());

/** Another tab writes to storage, and this one gets the event. */
function elsewhere(key: string, value: string | null): void {
  if (value === null) localStorage.removeItem(key);
  else localStorage.setItem(key, value);
  dispatchEvent(new StorageEvent("storage", { key }));
}

describe("nltrStore", () => {
  test("has no lead at first, then the subscriber, and no lead after clearing", () => {
    const store = createNltrStore();
    expect(store.getState()).toMatchObject(nobody);
    store.getState().setSubscribed(" jane@example.com ");
    expect(store.getState()).toMatchObject(jane);
    store.getState().clear();
    expect(store.getState()).toMatchObject(nobody);
  });

  test("ignores a blank email", () => {
    const store = createNltrStore();
    store.getState().setSubscribed(" ");
    expect(store.getState()).toMatchObject(nobody);
  });

  test("remembers the visitor under its key, and nothing else", () => {
    createNltrStore({ storageKey: "gate" }).getState().setSubscribed("jane@example.com");
    expect({ ...localStorage }).toEqual({ gate: JSON.stringify({ state: jane, version: 1 }) });
    expect(createNltrStore({ storageKey: "gate" }).getState()).toMatchObject(jane);
    expect(createNltrStore().getState()).toMatchObject(nobody);
  });

  test("keeps the visitors of an earlier store under its key", () => {
    localStorage.setItem("nltr", JSON.stringify({ state: { ...jane, theme: "dark" }, version: 0 }));
    const log = vi.spyOn(console, "error");
    expect(createNltrStore().getState()).toMatchObject(jane);
    expect(createNltrStore().getState()).not.toHaveProperty("theme");
    expect(log).not.toHaveBeenCalled();
  });

  test.each(["", "{", "null", "[]", '{"state":null}', '{"state":{"subscribed":true,"email":7},"version":1}'])(
    "has no lead if storage holds %j",
    (kept) => {
      localStorage.setItem("nltr", kept);
      expect(createNltrStore().getState()).toMatchObject(nobody);
    },
  );

  test("follows other tabs", () => {
    const store = createNltrStore();
    elsewhere("nltr", JSON.stringify({ state: jane, version: 1 }));
    expect(store.getState()).toMatchObject(jane);
    // So it is when a frame clears its sessionStorage.
    dispatchEvent(new StorageEvent("storage", { key: null }));
    expect(store.getState()).toMatchObject(jane);
    elsewhere("nltr", JSON.stringify({ state: nobody, version: 1 }));
    expect(store.getState()).toMatchObject(nobody);
    elsewhere("nltr", JSON.stringify({ state: jane, version: 1 }));
    localStorage.clear();
    dispatchEvent(new StorageEvent("storage", { key: null }));
    expect(store.getState()).toMatchObject(nobody);
  });
});

test("explorerStore holds the search", () => {
  const store = createExplorerStore();
  expect(store.getState().query).toBe("");
  store.getState().setQuery("pricing");
  expect(store.getState().query).toBe("pricing");
});
