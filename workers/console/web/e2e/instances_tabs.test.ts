/** J5: what each tab of an instance changes, on instances of the test's own; and that nothing is changed offline. */
import { describe } from "vitest";
import { type App, expect, test } from "./harness";
import { call, made, menu, unique } from "./harness/made";

const KEYED = { api_keys: { openai: "sim-ok-for-the-tabs-tabs" }, rate_limits: { openai: { rpm: 60 } } };

async function open(app: App, id: string, tab: string): Promise<void> {
  await app.signIn();
  await app.open(`/admin/instances/${id}?tab=${tab}`);
}

describe("a tab of an instance", () => {
  test("budgets: one is added, changed and removed", async ({ app }) => {
    const id = await made(unique("budgets"));
    const { page } = app;
    await open(app, id, "budgets");
    await page.getByText("No budgets").waitFor();
    await page.getByRole("button", { name: "Add budget" }).first().click();
    const add = page.getByRole("dialog", { name: "Add budget" });
    await add.getByRole("button", { name: "Save budget" }).click();
    await add.getByText("Enter an amount in dollars").waitFor();
    await add.getByLabel("Applies to").selectOption("provider");
    await add.getByLabel("Name of the provider").fill("openai");
    await add.getByLabel("Limit").fill("12.50");
    await add.getByRole("button", { name: "Save budget" }).click();
    await add.waitFor({ state: "detached" });
    await page.getByRole("row", { name: "openai" }).getByText("$12.50").waitFor();

    await menu(app, "provider:openai per month", "Edit budget");
    const edit = page.getByRole("dialog", { name: "Edit budget" });
    await edit.getByLabel("Limit").fill("20");
    await edit.getByRole("radio", { name: "Day" }).check();
    await edit.getByRole("button", { name: "Save budget" }).click();
    await edit.waitFor({ state: "detached" });
    await page.getByRole("row", { name: "openai" }).getByText("$20.00").waitFor();
    const { budgets } = await call<{ budgets: object[] }>("GET", `/instance/${id}/limits`);
    expect(budgets).toEqual([{ scope: "provider:openai", period: "day", limit_usd_micros: 20_000_000 }]);

    await menu(app, "provider:openai per day", "Remove budget");
    await page.getByRole("dialog", { name: "Remove this budget?" }).getByRole("button", { name: "Remove budget" }).click();
    await page.getByText("No budgets").waitFor();
  });

  test("projects: one is created, changed and deleted with its name typed", async ({ app }) => {
    const id = await made(unique("projects"));
    const { page } = app;
    await open(app, id, "projects");
    await page.getByText("No projects yet").waitFor();
    await page.getByRole("button", { name: "Create project" }).first().click();
    const create = page.getByRole("dialog", { name: "Create project" });
    await create.getByLabel("Name").fill("Spring");
    await create.getByLabel("Settings").fill('{"team": "web"}');
    await create.getByRole("button", { name: "Create project" }).click();
    await create.waitFor({ state: "detached" });
    await page.getByRole("row", { name: "Spring" }).waitFor();

    await menu(app, "Spring", "Edit");
    const edit = page.getByRole("dialog", { name: "Edit Spring" });
    expect(JSON.parse(await edit.getByLabel("Settings").inputValue())).toEqual({ team: "web" });
    await edit.getByLabel("Settings").fill('{"team": ');
    await edit.getByRole("button", { name: "Save project" }).click();
    await edit.getByText("Is not JSON").waitFor();
    await edit.getByLabel("Settings").fill('{"team": "print"}');
    await edit.getByLabel("Name").fill("Summer");
    await edit.getByRole("button", { name: "Save project" }).click();
    await edit.waitFor({ state: "detached" });
    await page.getByRole("row", { name: "Summer" }).waitFor();
    const { items } = await call<{ items: { project_id: string }[] }>("GET", `/project?instance_id=${id}`);
    expect(await call("GET", `/project/${items[0]?.project_id ?? ""}`)).toMatchObject({ name: "Summer", settings: { team: "print" } });

    await menu(app, "Summer", "Delete");
    const remove = page.getByRole("dialog", { name: "Delete Summer?" });
    expect(await remove.getByRole("button", { name: "Delete project" }).isDisabled()).toBe(true);
    await remove.getByLabel("to confirm").fill("Summer");
    await remove.getByRole("button", { name: "Delete project" }).click();
    await page.getByText("No projects yet").waitFor();
  });

  test("provider keys: one is rotated with time for the previous one, and deleted", async ({ app }) => {
    const id = await made(unique("rotated"), KEYED);
    const { page } = app;
    await open(app, id, "keys");
    const row = page.getByRole("row", { name: "openai" });
    await row.getByText("****tabs").waitFor();
    await menu(app, "openai", "Rotate key");
    const rotate = page.getByRole("dialog", { name: "Rotate the key of openai" });
    await rotate.getByLabel(/^Key/).first().fill("sim-ok-for-the-tabs-next");
    await rotate.getByRole("button", { name: "Rotate key" }).click();
    await rotate.waitFor({ state: "detached" });
    await row.getByText("****next").waitFor();
    await row.locator('[data-label="Previous until"] time').waitFor();
    for (const secret of ["sim-ok-for-the-tabs-tabs", "sim-ok-for-the-tabs-next"]) expect(await page.content()).not.toContain(secret);

    await menu(app, "openai", "Delete key");
    const remove = page.getByRole("dialog", { name: "Delete the key of openai?" });
    await remove.getByRole("radio", { name: "Erase it at once" }).check();
    await remove.getByLabel("to confirm").fill("openai");
    await remove.getByRole("button", { name: "Delete key" }).click();
    await remove.waitFor({ state: "detached" });
    expect(await call("GET", `/instance/${id}`)).toMatchObject({ api_keys: {} });
    await page.getByText("****next").waitFor({ state: "detached" });
  });

  test("limits: those of a provider are removed, and the vendor's hold", async ({ app }) => {
    const id = await made(unique("unlimited"), KEYED);
    const { page } = app;
    await open(app, id, "limits");
    const rpm = page.getByRole("row", { name: "openai" }).locator('[data-label="Requests a minute"]');
    await rpm.getByText("60").waitFor();
    await menu(app, "openai", "Remove limits");
    await page.getByRole("dialog", { name: "Remove the limits of openai?" }).getByRole("button", { name: "Remove limits" }).click();
    await rpm.getByText("no limit").waitFor();
    await page.getByRole("button", { name: "Actions for openai" }).click();
    expect(await page.getByRole("menuitem", { name: /^Remove limits/ }).getAttribute("aria-disabled")).toBe("true");
  });

  test("danger: what is protected is not deleted before somebody takes the protection away", async ({ app }) => {
    const id = await made(unique("guarded"), { protected: true });
    const { page, watch } = app;
    await open(app, id, "danger");
    const remove = page.getByRole("button", { name: "Delete instance" });
    await page.getByText("This instance is protected").waitFor();
    expect(await remove.getAttribute("aria-disabled")).toBe("true");
    await remove.click({ force: true });
    expect(await page.getByRole("dialog").count()).toBe(0);

    await page.getByRole("tab", { name: "Configuration" }).click();
    await page.getByRole("switch", { name: /^Protected/ }).uncheck();
    await page.getByRole("button", { name: "Review and save" }).click();
    await page.getByRole("dialog", { name: "Save these changes?" }).getByRole("button", { name: "Save" }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.getByRole("tab", { name: "Danger" }).click();
    await remove.click();
    const dialog = page.getByRole("dialog", { name: `Delete ${id}?` });
    await dialog.getByLabel("to confirm").fill(id);
    // Protected again behind the page's back: the server's refusal is shown, and nothing is gone.
    const { version } = await call<{ version: number }>("GET", `/instance/${id}`);
    await page.route(`**/instance/${id}/status`, async (route) => {
      const headers = { Authorization: `Bearer ${app.key()}`, "Content-Type": "application/json", "If-Match": `"${version}"` };
      const set = await page.request.patch(`/api/config-service/instance/${id}`, { headers, data: { config: { protected: true } } });
      const now = (await set.json()) as { version: number };
      await route.continue({ headers: { ...route.request().headers(), "if-match": `"${now.version}"` } });
    }, { times: 1 });
    watch.expects(409, /\/status$/);
    await dialog.getByRole("button", { name: "Delete instance" }).click();
    await dialog.locator('[data-error="protected"]').waitFor();
    expect(await call("GET", `/instance/${id}`)).toMatchObject({ status: "active" });
  });
});

test("what is open, how it is sorted: the address says it, to another browser too, and Back closes it", async ({ app, other }) => {
  const id = await made(unique("history"));
  const { version } = await call<{ version: number }>("GET", `/instance/${id}`);
  const { page } = app;
  await open(app, id, "history");
  const headers = { Authorization: `Bearer ${app.key()}`, "Content-Type": "application/json", "If-Match": `"${version}"` };
  expect((await page.request.patch(`/api/config-service/instance/${id}`, { headers, data: { config: { environment: "told" } } })).ok()).toBe(true);
  await page.getByRole("button", { name: "Refresh", exact: true }).click();
  await page.getByRole("row").filter({ hasText: "environment" }).getByRole("button").first().click();
  const entry = page.getByRole("dialog", { name: "Update instance" });
  await entry.getByText("told").waitFor();
  const address = page.url();
  await page.goBack();
  await entry.waitFor({ state: "detached" });
  await other.signIn();
  await other.open(address);
  await other.page.getByRole("dialog", { name: "Update instance" }).getByText("told").waitFor();
  await other.page.keyboard.press("Escape");
  await expect.poll(() => new URL(other.page.url()).searchParams.get("entry")).toBeNull();

  await page.getByRole("columnheader", { name: "Change" }).getByRole("button").click();
  expect(new URL(page.url()).searchParams.get("sort")).toBe("action");
  expect(await page.getByText("sorted among the loaded rows").count()).toBe(0);
  // With more to come the order is one of what is there, and the table says so.
  await page.route("**/api/config-service/audit?*", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...((await response.json()) as object), next_cursor: "more" } });
  });
  await page.reload();
  await page.getByText("sorted among the loaded rows").waitFor();
});

test("a refused creation shows each problem at its field, and leads to the first", async ({ app }) => {
  const id = unique("refused");
  const { page, watch } = app;
  await app.signIn();
  await app.open("/admin/instances");
  await page.getByRole("button", { name: "Create instance" }).first().click();
  const form = page.getByRole("dialog", { name: "Create instance" });
  const next = async (step: string) => {
    await form.getByRole("button", { name: "Next" }).click();
    await form.getByText(step).waitFor();
  };
  await form.getByLabel("Name").fill(id);
  await form.getByLabel("Environment").fill("e".repeat(41));
  await next("Step 2");
  await form.getByLabel("OpenAI key").fill("sim-ok-refused");
  await next("Step 3");
  await form.getByLabel("Monthly budget").fill("99000000");
  await next("Step 4");
  // What is sent can be read whole, and no key in it.
  const sent = JSON.parse(await form.getByRole("region", { name: "JSON" }).innerText()) as { config: { api_keys: object } };
  expect(sent).toMatchObject({ instance_id: id, config: { api_keys: { openai: "****" }, budgets: [{ limit_usd_micros: 99_000_000_000_000 }] } });
  watch.expects(400, /\/instance$/);
  await form.getByRole("button", { name: "Create instance" }).click();
  await form.getByText("Step 1").waitFor();
  await form.getByText("must be 1 to 40 characters").first().waitFor();
  expect(await app.focused()).toContain("Environment");
  await app.axe(["light"]);
  await form.getByRole("list", { name: "Problems" }).getByRole("button", { name: "/budgets/0/limit_usd_micros" }).click();
  await form.getByText("Step 3").waitFor();
  await expect.poll(() => app.focused()).toContain("Monthly budget");
  await form.getByLabel("Monthly budget").fill("99");
  for (const step of ["Step 2", "Step 1"]) {
    await form.getByRole("button", { name: "Back" }).click();
    await form.getByText(step).waitFor();
  }
  await form.getByLabel("Environment").fill("test");
  for (const step of ["Step 2", "Step 3", "Step 4"]) await next(step);
  await form.getByRole("button", { name: "Create instance" }).click();
  await page.waitForURL(`**/admin/instances/${id}*`);
  expect(await call("GET", `/instance/${id}`)).toMatchObject({ environment: "test", status: "deploying" });
});

test("offline nothing can be changed, and the button says why", async ({ app }) => {
  const id = await made(unique("offline"), { ...KEYED, budgets: [{ scope: "instance", period: "month", limit_usd_micros: 1_000_000 }] });
  const { page, watch } = app;
  await open(app, id, "budgets");
  await menu(app, "instance per month", "Remove budget");
  const dialog = page.getByRole("dialog", { name: "Remove this budget?" });
  const remove = dialog.getByRole("button", { name: "Remove budget" });
  watch.expectsOutage();
  await page.context().setOffline(true);
  await page.locator('[data-connection="offline"]').waitFor();
  await expect.poll(() => remove.getAttribute("aria-disabled")).toBe("true");
  const why = (await remove.getAttribute("aria-describedby")) ?? "none";
  expect(await page.locator(`[id="${why}"]`).textContent()).toContain("Offline");
  await remove.click({ force: true });
  await page.keyboard.press("Enter");
  await page.context().setOffline(false);
  await page.locator('[data-connection="online"]').waitFor();
  // Neither the click nor the key was kept for later.
  expect((await call<{ budgets: object[] }>("GET", `/instance/${id}/limits`)).budgets).toHaveLength(1);
  await remove.click();
  await page.getByText("No budgets").waitFor();
});
