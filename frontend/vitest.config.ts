import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["tests/unit/**"], environment: "happy-dom" } },
      {
        test: {
          name: "front-door",
          include: ["tests/front-door/*.test.ts"],
          // Two cores carry one browser, its page's server and the daemon.
          fileParallelism: false,
          maxConcurrency: 4,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          expect: { poll: { timeout: 30_000 } },
        },
      },
    ],
  },
});
