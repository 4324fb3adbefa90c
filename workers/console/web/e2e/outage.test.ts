/** The stack is killed under an open page and comes back: the page says so, keeps what it showed, recovers by itself. */
import { afterEach, describe } from "vitest";
import { type App, expect, test } from "./harness";
import { bringUp, takeDown } from "./harness/outage";
import { open, ready } from "./harness/play";
import { call, unique } from "./harness/made";

/** A page that hears nothing asks after ten seconds; a request of its own finds out at once. */
const NOTICED = { timeout: 25_000 };

const said = ({ page }: App) => page.getByText("Offline: the console does not answer").first();

async function expectsOutage({ watch }: App): Promise<void> {
  watch.expectsOutage();
  watch.expects(502, /.*/);
  watch.expects(503, /.*/);
  await takeDown();
}

async function recovered({ page }: App): Promise<void> {
  await page.locator('[data-connection="online"]').waitFor({ timeout: 30_000 });
  await page.getByText("Offline: the console does not answer").waitFor({ state: "detached" });
}

// A test that failed in an outage leaves none to the next one.
afterEach(() => bringUp());

describe("an outage under an open page", () => {
  test("that asks for nothing by itself: said, nothing typed is lost, writes come back", async ({ app }) => {
    await open(app);
    await app.page.getByLabel("Prompt").fill("a lighthouse, half typed");
    await expectsOutage(app);
    await said(app).waitFor(NOTICED);
    await app.page.locator('[data-connection="offline"]').waitFor();
    expect(await app.page.getByLabel("Prompt").inputValue()).toBe("a lighthouse, half typed");
    expect(await app.page.getByRole("button", { name: "Generate", exact: true }).getAttribute("aria-disabled")).toBe("true");
    await bringUp();
    await recovered(app);
    await app.page.getByRole("button", { name: "Generate", exact: true }).click();
    await ready(app);
  });

  test("with a list: what it showed stays, and what changed meanwhile appears", async ({ app }) => {
    await app.signIn();
    await app.open("/admin/users");
    const rows = app.page.locator("[data-row]");
    const before = await rows.count();
    const email = `${unique("outage")}@acme.example`;
    // The list was read; it would ask again in half a minute.
    await call("POST", "/user", { email, role: "user" });
    await expectsOutage(app);
    await said(app).waitFor(NOTICED);
    expect(await rows.count()).toBe(before);
    expect(await app.page.getByText(email).count()).toBe(0);
    await bringUp();
    await recovered(app);
    await app.page.getByText(email).first().waitFor();
  });

  test("before anything was loaded: the page starts by itself when the console answers", async ({ app }) => {
    await app.signIn();
    app.watch.expectsOutage();
    app.watch.expects(503, /.*/);
    app.watch.expectsLine(/ApiError: Away/);
    // The files are there and the worker behind them is not: as in a restart between the two.
    await app.page.route("**/auth/session", (route) => route.fulfill({ status: 503, json: { error: "config_unavailable", message: "Away.", hint: "" } }));
    await app.page.goto("/admin/users");
    await app.page.getByRole("heading", { name: "This page could not be shown" }).waitFor();
    await app.page.unroute("**/auth/session");
    await app.page.getByRole("heading", { name: "Users", level: 1 }).waitFor(NOTICED);
  });
});
