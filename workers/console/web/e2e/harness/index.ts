/**
 * The harness of the browser tests.
 *
 *     import { expect, test } from "./harness";
 *     test("creates a user", async ({ app }) => {
 *       await app.signIn();
 *       await app.open("/admin/users");
 *       await app.page.getByRole("button", { name: "Create user" }).click();
 *     });
 */
import { mkdir, writeFile } from "node:fs/promises";
import { type Browser, type BrowserContextOptions, chromium } from "playwright-core";
import { afterAll, expect, inject, test as base } from "vitest";
import { App } from "./app";
import { fileName, REPORT } from "./report";
import { Watch } from "./watch";

export { expect };
export type { App } from "./app";

export const stack = inject("stack");

let connecting: Promise<Browser> | null = null;
const browser = () => (connecting ??= chromium.connect(inject("browser")));

afterAll(async () => {
  await (await connecting)?.close();
  connecting = null;
});

const OPTIONS: BrowserContextOptions = {
  viewport: { width: 1440, height: 900 },
  locale: "en-GB",
  timezoneId: "UTC",
  permissions: ["clipboard-read", "clipboard-write"],
  baseURL: stack.baseUrl,
};

export interface Fixtures {
  app: App;
  /** Another browser, with cookies of its own: a second person, or the same one elsewhere. */
  other: App;
}

export async function openApp(options: BrowserContextOptions = {}): Promise<App> {
  const context = await (await browser()).newContext({ ...OPTIONS, ...options });
  context.setDefaultTimeout(30_000);
  const watch = new Watch(stack.baseUrl);
  await watch.follow(context);
  return new App(await context.newPage(), watch, stack);
}

/** After a test: what its page did that no page may do; what it leaves when it failed. */
export async function closeApp(app: App, name: string, failed: boolean): Promise<void> {
  try {
    if (failed || app.watch.violations.length > 0) await leave(app, name);
    expect(app.watch.violations, "violations while the test ran").toEqual([]);
  } finally {
    await app.page.context().close();
  }
}

async function leave(app: App, name: string): Promise<void> {
  const folder = `${REPORT}${fileName(name)}/`;
  await mkdir(folder, { recursive: true });
  await app.page.screenshot({ path: `${folder}page.png` }).catch(() => undefined);
  await writeFile(`${folder}page.html`, await app.page.content().catch(() => ""));
  await writeFile(`${folder}console.txt`, [...app.watch.violations, "", ...app.watch.consoleLines].join("\n"));
  await writeFile(`${folder}requests.json`, JSON.stringify(app.watch.calls, null, 2));
}

export const test = base.extend<Fixtures>({
  app: async ({ task }, use) => {
    const app = await openApp();
    await use(app);
    await closeApp(app, task.name, task.result?.state === "fail");
  },
  other: async ({ task }, use) => {
    const app = await openApp();
    await use(app);
    await closeApp(app, `${task.name} other`, task.result?.state === "fail");
  },
});
