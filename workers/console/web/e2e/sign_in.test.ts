/** J1: signing in and out, and what the browser holds in between. */
import { describe } from "vitest";
import { type App, expect, stack, test } from "./harness";
import { mistyped, unknownKey } from "./harness/keys";

const field = ({ page }: App) => page.getByRole("textbox", { name: "API key" }).or(page.locator('input[type="password"]')).first();
const submit = ({ page }: App) => page.getByRole("button", { name: "Sign in" });

async function enter(app: App, key: string): Promise<void> {
  await field(app).fill(key);
  await submit(app).click();
}

/** The cookie of the session: its name depends on the port. */
async function sessionCookie(app: App) {
  const cookies = await app.page.context().cookies();
  return cookies.find((cookie) => cookie.name.includes("sy_session"));
}

test("refuses a mistyped key without asking the server", async ({ app }) => {
  await app.open("/login");
  app.takeCalls();
  await enter(app, mistyped(app.key()));
  await app.page.getByText("The checksum of this key is wrong").waitFor();
  expect(app.takeCalls()).toEqual([]);
  expect(await field(app).getAttribute("aria-invalid")).toBe("true");
  expect(await app.focused()).toContain("API key");
});

test("says in words that a key is not known", async ({ app }) => {
  app.watch.expects(401, /^\/auth\/session$/);
  await app.open("/login");
  await enter(app, unknownKey());
  await app.page.getByText("This key is not known here").waitFor();
  expect(app.takeCalls()).toContain("POST /auth/session");
});

test("exchanges a good key for a cookie that no script can read, and forgets it", async ({ app }) => {
  await app.open("/login");
  await enter(app, `  ${app.key()}\n`);
  await app.page.waitForURL("**/play**");
  await app.settled();

  const cookie = await sessionCookie(app);
  expect(cookie).toMatchObject({ httpOnly: true, sameSite: "Strict", path: "/" });
  const held = await app.page.evaluate(() => ({
    cookie: document.cookie,
    local: JSON.stringify(localStorage),
    session: JSON.stringify(sessionStorage),
    state: JSON.stringify(history.state),
    address: location.href,
    html: document.documentElement.outerHTML,
  }));
  for (const [where, text] of Object.entries(held)) {
    expect(text, where).not.toMatch(/sy_[0-9A-Za-z]{12}_/);
    expect(text, where).not.toContain(cookie?.value ?? "no cookie");
  }
});

test("asks once who is signed in", async ({ app }) => {
  await app.open("/login");
  expect(app.takeCalls().filter((call) => call.includes("/auth/"))).toEqual(["GET /auth/session"]);
});

test("goes back to where one wanted to go", async ({ app }) => {
  await app.page.goto("/admin/users?instance=production");
  await app.page.waitForURL("**/login?**");
  await enter(app, app.key());
  await app.page.waitForURL("**/admin/users?instance=production");
});

describe.each(["//evil.example/x", "/\\evil.example", "javascript:alert(1)", "https://evil.example"])("next=%s", (next) => {
  test("leads nowhere but to the start", async ({ app }) => {
    await app.open(`/login?next=${encodeURIComponent(next)}`);
    await enter(app, app.key());
    await app.page.waitForURL("**/play**");
    expect(new URL(app.page.url()).origin).toBe(stack.baseUrl);
  });
});

test("counts down after too many wrong keys, and takes a click only then", async ({ app }) => {
  app.watch.expects(429, /^\/auth\/session$/);
  await app.page.clock.install();
  await app.page.route("**/auth/session", (route) =>
    route.request().method() === "GET"
      ? route.fallback()
      : route.fulfill({
          status: 429,
          headers: { "Retry-After": "20" },
          json: { error: "too_many_auth_failures", message: "Too many wrong keys from this address.", hint: "Wait a minute.", request_id: "r" },
        }),
  );
  await app.page.goto("/login");
  await enter(app, unknownKey());
  await app.page.getByRole("button", { name: /Try again in (20|19) s/ }).waitFor();
  await app.page.getByText("Too many wrong keys").waitFor();
  // The button that was pressed keeps the focus while it takes no click.
  expect(await app.focused()).toMatch(/^button Try again in/);
  await app.page.clock.runFor(21_000);
  await submit(app).waitFor();
  expect(await submit(app).isEnabled()).toBe(true);
});

test("says that the service is down, and tries again on demand", async ({ app }) => {
  app.watch.expects(503, /^\/auth\/session$/);
  let down = true;
  await app.page.route("**/auth/session", (route) =>
    route.request().method() === "POST" && down
      ? route.fulfill({ status: 503, json: { error: "config_unavailable", message: "The directory does not answer.", hint: "Try again.", request_id: "r" } })
      : route.fallback(),
  );
  await app.open("/login");
  await enter(app, app.key());
  await app.page.getByText("The directory does not answer.").waitFor();
  down = false;
  await app.page.getByRole("button", { name: "Retry" }).click();
  await app.page.waitForURL("**/play**");
});

test("signs out: the old cookie is worth nothing", async ({ app }) => {
  await app.signIn();
  await app.open("/play");
  const before = await sessionCookie(app);
  expect(before).toBeDefined();
  await app.page.getByRole("button", { name: /^Account of/ }).click();
  await app.page.getByRole("menuitem", { name: "Sign out" }).click();
  await app.page.waitForURL("**/login");
  expect(await sessionCookie(app)).toBeUndefined();
  const answer = await fetch(`${stack.baseUrl}/auth/session`, { headers: { Cookie: `${before?.name ?? ""}=${before?.value ?? ""}` } });
  expect(answer.status).toBe(401);
});
