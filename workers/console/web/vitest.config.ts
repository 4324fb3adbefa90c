import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

/** Browser tests share one Chromium and one stack, so their files run one after the other. */
const browser = {
  fileParallelism: false,
  testTimeout: 120_000,
  hookTimeout: 180_000,
  globalSetup: ["e2e/harness/global.ts"],
};

export default defineConfig({
  plugins: [react()],
  test: {
    projects: [
      { extends: true, test: { name: "unit", environment: "node", include: ["src/**/*.test.{ts,tsx}"] } },
      { extends: true, test: { name: "e2e", include: ["e2e/**/*.test.ts"], ...browser } },
      { extends: true, test: { name: "screens", include: ["e2e/screens.ts"], ...browser, testTimeout: 600_000 } },
    ],
  },
});
