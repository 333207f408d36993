import { defineConfig } from "@playwright/test";

// Real node processes and the Chromium that is installed; nothing is mocked.
export default defineConfig({
  testDir: ".",
  testMatch: "*.spec.ts",
  globalSetup: "./setup.ts",
  timeout: 90_000,
  expect: { timeout: 10_000 },
  workers: 1, // the nodes of one test already fill two cores
  retries: 1, // what passes then is told as unsteady by all.mjs
  forbidOnly: !!process.env.CI,
  reporter: [["list"]],
  outputDir: "../test-results",
  use: {
    browserName: "chromium",
    viewport: { width: 1280, height: 900 },
    reducedMotion: "reduce", // a colour that is on its way has no contrast to check
    trace: "retain-on-failure",
    launchOptions: {
      executablePath: process.env.SHOAL_CHROMIUM ?? "/usr/bin/chromium",
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        // Nothing here may need a name of the internet.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
      ],
    },
  },
});
