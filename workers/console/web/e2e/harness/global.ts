/** Once for all browser tests: the stack and one Chromium. */
import { mkdir, rm } from "node:fs/promises";
import { chromium } from "playwright-core";
import type { TestProject } from "vitest/node";
import { REPORT } from "./report";
import { runningStack, type StackFacts } from "./stack";

declare module "vitest" {
  interface ProvidedContext {
    stack: StackFacts;
    browser: string;
  }
}

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--font-render-hinting=none",
  "--force-color-profile=srgb",
  "--hide-scrollbars",
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await rm(REPORT, { recursive: true, force: true });
  await mkdir(REPORT, { recursive: true });
  const stack = await runningStack();
  try {
    const server = await chromium.launchServer({
      executablePath: process.env["CHROMIUM_BIN"] ?? "/usr/bin/chromium",
      args: FLAGS,
      host: "127.0.0.1",
    });
    project.provide("stack", stack.facts);
    project.provide("browser", server.wsEndpoint());
    return async () => {
      await server.close();
      await stack.stop();
    };
  } catch (error) {
    await stack.stop();
    throw error;
  }
}
