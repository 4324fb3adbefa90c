/** The frame around all pages: roles, address, keyboard, small windows, skew. */
import { describe } from "vitest";
import { expect, openApp, closeApp, test } from "./harness";
import { tabTo } from "./harness/hands";
import { pages } from "./pages";

describe("roles", () => {
  test("an administrator sees the rooms of the administration", async ({ app }) => {
    await app.signIn("admin");
    await app.open("/play");
    const rooms = await app.page.getByRole("navigation", { name: "Main" }).getByRole("link").allTextContents();
    expect(rooms).toEqual(["Playground", "Instances", "Users", "Keys", "Docs"]);
  });

  test("the documents are a room of the console, and an address of none of them says so", async ({ app }) => {
    await app.signIn();
    await app.open("/play");
    await app.page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Docs" }).click();
    await app.page.waitForURL("**/docs/");
    expect(await app.page.locator("h1").count()).toBe(1);
    app.watch.expects(404, /^\/docs\/nope$/);
    await app.page.goto("/docs/nope");
    await app.page.getByRole("heading", { name: "No such page" }).waitFor();
    await app.page.getByRole("link", { name: "Errors" }).first().click();
    await app.page.waitForURL("**/docs/errors");
  });

  test("a user sees no user administration, and its address says which role it needs", async ({ app }) => {
    await app.signIn("user");
    await app.open("/play");
    expect(await app.page.getByRole("link", { name: "Users" }).count()).toBe(0);
    await app.open("/admin/users");
    await app.page.getByText("This page needs the role “admin”").waitFor();
    expect(app.takeCalls().filter((call) => call.includes("/user"))).toEqual([]);
  });

  test("who is not signed in is asked to", async ({ app }) => {
    await app.page.goto("/admin/keys");
    await app.page.waitForURL("**/login?next=**");
  });
});

describe("address", () => {
  test("drops what it does not understand, and says so", async ({ app }) => {
    await app.signIn();
    await app.open("/play?instance=production&nonsense=1");
    await app.page.getByText("Not understood: nonsense.").first().waitFor();
    await app.page.waitForURL("**/play?instance=production");
  });

  test("keeps the chosen instance from page to page, and back", async ({ app }) => {
    await app.signIn();
    await app.open("/admin/users");
    const switcher = app.page.getByRole("banner").getByRole("button", { name: /^Instance/ });
    await switcher.click();
    await app.page.getByRole("menuitemcheckbox", { name: /Development/i }).click();
    await app.page.waitForURL("**/admin/users?instance=development");
    await app.page.getByRole("link", { name: "Keys" }).click();
    await app.page.waitForURL("**/admin/keys?instance=development");
    await app.page.goBack();
    await app.page.waitForURL("**/admin/users?instance=development");
    expect(await switcher.innerText()).toContain("Development");
  });

  test("leads back from a record to its list", async ({ app }) => {
    await app.signIn();
    await app.open("/admin/instances/production");
    await app.page.getByRole("navigation", { name: "Breadcrumb" }).getByRole("link", { name: "Instances" }).click();
    await app.page.waitForURL((url) => url.pathname === "/admin/instances");
  });

  test("does not tell a foreign instance from one that is not there", async ({ app }) => {
    app.watch.expects(404, /\/instance\/(foreign|not-there)/);
    await app.signIn();
    const told = async (id: string) => {
      await app.open(`/admin/instances/${id}`);
      const page = await app.page.locator("main").innerText();
      return page.replaceAll(id, "ID").replaceAll(/[0-9a-f]{8}…[0-9a-f]{4}/g, "REQUEST");
    };
    expect(await told("foreign")).toBe(await told("not-there"));
  });

  test("has a page for an address that leads nowhere", async ({ app }) => {
    await app.signIn();
    await app.open("/admin/nothing-here");
    await app.page.getByRole("heading", { name: "Nothing here" }).waitFor();
  });
});

describe("keyboard", () => {
  test("skips to the content, walks the rooms, opens and leaves a menu", async ({ app }) => {
    const { page } = app;
    await app.signIn();
    await app.open("/play");
    await page.keyboard.press("Tab");
    expect(await app.focused()).toBe("a Skip to content");
    await page.keyboard.press("Enter");
    expect(await page.evaluate(() => document.activeElement?.id)).toBe("main");

    const theme = page.getByRole("button", { name: "Theme" });
    await tabTo(page, theme);
    await page.keyboard.press("Enter");
    await page.getByRole("menuitemcheckbox", { name: "Dark" }).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("menu").waitFor({ state: "detached" });
    expect(await app.focused()).toBe("button Theme");
  });

  test("letters lead to pages; the new page's heading has the focus", async ({ app }) => {
    await app.signIn();
    await app.open("/play");
    await app.page.keyboard.press("g");
    await app.page.keyboard.press("a");
    await app.page.waitForURL("**/admin/instances**");
    await app.page.locator("h1:focus", { hasText: "Instances" }).waitFor();
    expect(await app.page.title()).toBe("Instances · Switchyard");
  });

  test("the sheet opens by ?, holds the focus, and gives it back", async ({ app }) => {
    await app.signIn();
    await app.open("/play");
    await tabTo(app.page, app.page.getByRole("button", { name: "Theme" }));
    await app.page.keyboard.press("?");
    const sheet = app.page.getByRole("dialog", { name: "Keyboard shortcuts" });
    await sheet.waitFor();
    expect(await sheet.evaluate((element) => element.contains(document.activeElement))).toBe(true);
    await app.page.keyboard.press("g");
    await app.page.keyboard.press("a");
    await app.page.keyboard.press("Escape");
    await sheet.waitFor({ state: "detached" });
    expect(await app.focused()).toBe("button Theme");
    expect(new URL(app.page.url()).pathname).toBe("/play");
  });

  test("letters can be switched off, and stay off", async ({ app }) => {
    const { page } = app;
    await app.signIn();
    await app.open("/play");
    await page.keyboard.press("?");
    await page.getByRole("switch", { name: "Single letters are shortcuts" }).uncheck();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.reload();
    await app.settled();
    await page.keyboard.press("?");
    await page.keyboard.press("g");
    await page.keyboard.press("a");
    expect(await page.getByRole("dialog").count()).toBe(0);
    expect(new URL(page.url()).pathname).toBe("/play");
    await page.getByRole("button", { name: "Keyboard shortcuts" }).click();
    await page.getByRole("switch", { name: "Single letters are shortcuts" }).check();
  });

  test("signs in without a mouse", async ({ app }) => {
    await app.open("/login");
    await app.page.keyboard.type(app.key());
    await app.page.keyboard.press("Enter");
    await app.page.waitForURL("**/play**");
  });
});

describe("small windows", () => {
  test("production is a word, not only a colour, also at 360 px", async () => {
    const app = await openApp({ viewport: { width: 360, height: 800 } });
    let failed = true;
    try {
      await app.signIn();
      await app.open("/play?instance=production");
      const switcher = app.page.getByRole("button", { name: /^Instance .*production$/ });
      const word = switcher.getByText("production", { exact: true });
      const box = await word.boundingBox();
      expect(box?.width, "the word is drawn").toBeGreaterThan(40);
      await app.fits();
      failed = false;
    } finally {
      await closeApp(app, "production at 360 px", failed);
    }
  });

  test("the sidebar is a drawer at 360 px, and closes when a room is chosen", async () => {
    const app = await openApp({ viewport: { width: 360, height: 800 } });
    let failed = true;
    try {
      await app.signIn();
      await app.open("/play");
      await app.page.getByRole("button", { name: "Open the menu" }).click();
      const drawer = app.page.getByRole("dialog", { name: "Switchyard" });
      await drawer.getByRole("link", { name: "Users" }).click();
      await app.page.waitForURL("**/admin/users**");
      await drawer.waitFor({ state: "detached" });
      await app.settled();
      await app.fits();
      failed = false;
    } finally {
      await closeApp(app, "drawer at 360 px", failed);
    }
  });

  test("everything fits at 200 % zoom", async () => {
    // 1280 px at 200 % are 640 px for the page.
    const app = await openApp({ viewport: { width: 640, height: 480 }, deviceScaleFactor: 2 });
    let failed = true;
    try {
      await app.signIn();
      for (const path of new Set(pages.filter((one) => one.as === "admin").map((one) => one.path))) {
        await app.open(path);
        await app.fits();
      }
      failed = false;
    } finally {
      await closeApp(app, "zoom", failed);
    }
  });
});

test("the chosen theme stands before the first paint, and stays", async ({ app }) => {
  await app.signIn();
  await app.open("/play");
  await app.page.getByRole("button", { name: "Theme" }).click();
  await app.page.getByRole("menuitemcheckbox", { name: "Dark" }).click();
  await app.page.reload({ waitUntil: "commit" });
  await app.page.locator('html[data-theme="dark"]').waitFor({ state: "attached" });
  await app.settled();
  expect(await app.page.evaluate(() => Object.keys(localStorage))).toEqual(["sy.theme"]);
});

test("a hidden tab asks for nothing in five minutes", async ({ app }) => {
  await app.page.clock.install();
  await app.page.addInitScript(() => {
    let hidden = false;
    Object.defineProperty(document, "visibilityState", { get: () => (hidden ? "hidden" : "visible") });
    Object.defineProperty(document, "hidden", { get: () => hidden });
    Object.assign(window, {
      __hide: () => {
        hidden = true;
        document.dispatchEvent(new Event("visibilitychange"));
      },
    });
  });
  await app.signIn();
  const asked: string[] = [];
  app.page.on("request", (request) => asked.push(`${request.method()} ${request.url()}`));
  // A job that nobody knows is asked for again and again while the page is seen.
  const watching = "/play?job=0198f0a0-0000-7000-8000-000000000000";
  await app.page.route("**/jobs/*", (route) => route.fulfill({ status: 503, json: { error: "ledger_unavailable", message: "Away.", hint: "" } }));
  app.watch.expects(503, /\/jobs\//);
  for (const path of [...new Set(pages.filter((one) => one.as === "admin").map((one) => one.path)), watching]) {
    await app.open(path);
    await app.page.clock.runFor(20_000);
    await app.settled();
    await app.page.evaluate(() => (window as unknown as { __hide: () => void }).__hide());
    asked.length = 0;
    await app.page.clock.runFor(5 * 60_000);
    expect(asked, path).toEqual([]);
  }
});

test("a paused page asks for nothing, and is up to date when it goes on", async ({ app }) => {
  await app.page.clock.install();
  await app.signIn();
  await app.open("/admin/users");
  await app.page.getByRole("button", { name: "Pause refreshing" }).click();
  await app.page.getByText("Refresh paused").first().waitFor();
  app.takeCalls();
  await app.page.clock.runFor(5 * 60_000);
  expect(app.takeCalls()).toEqual([]);
  await app.page.getByText(/^as of \d\d:\d\d:\d\d$/).waitFor();
  const fresh = app.page.waitForResponse(/\/api\/config-service\/user\?/);
  await app.page.getByRole("button", { name: "Refresh by itself again" }).click();
  await fresh;
  await app.page.getByText("Connected").waitFor();
  const next = app.page.waitForResponse(/\/api\/config-service\/user\?/);
  await app.page.clock.runFor(31_000);
  await next;
});

describe("skew", () => {
  test("a chunk that is gone reloads the page once, then says what is wrong", async ({ app }) => {
    await app.signIn();
    await app.open("/play");
    app.watch.expects(404, /^\/assets\/access-/);
    app.watch.expectsLine(/Failed to fetch dynamically imported module/);
    await app.page.route("**/assets/access-*.js", (route) => route.fulfill({ status: 404, body: "not found" }));
    let loads = 0;
    app.page.on("domcontentloaded", () => (loads += 1));
    // After the call, because it takes the page away.
    await app.page.evaluate(() => {
      requestAnimationFrame(() => {
        history.pushState(null, "", "/admin/keys");
        dispatchEvent(new PopStateEvent("popstate"));
      });
    });
    await app.page.getByRole("heading", { name: "This page could not be shown" }).waitFor();
    expect(loads).toBe(1);
    // All that the tab holds: where pages were scrolled to, and that this chunk was tried again.
    expect(await app.page.evaluate(() => Object.keys(sessionStorage).map((key) => key.replace(/[:-].*$/s, "")).sort())).toEqual(["tanstack_router_reload", "tsr"]);
    expect(await app.page.evaluate(() => Object.keys(localStorage))).toEqual([]);
  });

  test("another build of the server is told once", async ({ app }) => {
    await app.signIn();
    await app.page.route("**/auth/session", async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, headers: { ...response.headers(), "x-switchyard-build": "fffffff" } });
    });
    await app.open("/play");
    await app.page.getByRole("button", { name: "Reload" }).waitFor();
    expect(await app.page.locator("[data-toast]").count()).toBe(1);
  });
});
