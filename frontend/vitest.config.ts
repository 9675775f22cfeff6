import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // Browsers wait half of the time, and two cores carry two of them, with their pages' servers and daemons.
    maxWorkers: 2,
    projects: [
      { test: { name: "unit", include: ["tests/unit/**"], environment: "happy-dom" } },
      {
        test: {
          name: "front-door",
          include: ["tests/front-door/*.test.ts"],
          maxConcurrency: 4,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          expect: { poll: { timeout: 30_000 } },
        },
      },
    ],
  },
});
