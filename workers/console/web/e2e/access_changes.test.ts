/** J6: a user is disabled and promoted, an organization suspended and deleted; each made for its test. */
import { expect, test } from "./harness";
import { call, makeKey, makeUser, menu, statusOf, unique } from "./harness/made";

test("a disabled user's key is refused until he is enabled again", async ({ app }) => {
  const email = `${unique("off")}@acme.example`;
  const user_id = await makeUser(email);
  const key = await makeKey({ name: "his own", user_id });
  const { page } = app;
  await app.signIn();
  await app.open(`/admin/users?q=${encodeURIComponent(email)}`);
  const row = page.getByRole("row", { name: email });
  await menu(app, email, "Disable");
  const disable = page.getByRole("dialog", { name: "Disable user" });
  await disable.getByText("1 working key").waitFor();
  await disable.getByRole("button", { name: "Disable" }).click();
  await row.getByText("Disabled").waitFor();
  await expect.poll(() => statusOf(key), { timeout: 10_000 }).toBe(401);

  await menu(app, email, "Enable");
  await page.getByRole("dialog", { name: "Enable user" }).getByRole("button", { name: "Enable" }).click();
  await row.getByText("Active").waitFor();
  await expect.poll(() => statusOf(key), { timeout: 10_000 }).toBe(200);
});

test("a user becomes an administrator and is one user again", async ({ app }) => {
  const email = `${unique("rise")}@acme.example`;
  await makeUser(email);
  const { page } = app;
  await app.signIn();
  await app.open(`/admin/users?q=${encodeURIComponent(email)}`);
  for (const role of ["Admin", "User"]) {
    await menu(app, email, "Edit");
    const edit = page.getByRole("dialog", { name: email });
    await edit.getByRole("radio", { name: new RegExp(`^${role}`) }).check();
    await edit.getByRole("button", { name: "Save" }).click();
    await edit.waitFor({ state: "detached" });
    await page.getByRole("row", { name: email }).locator('[data-label="Role"]').getByText(role, { exact: true }).waitFor();
    const { items } = await call<{ items: { role: string }[] }>("GET", `/user?q=${encodeURIComponent(email)}`);
    expect(items.map((user) => user.role)).toEqual([role.toLowerCase()]);
  }
});

test("an organization is suspended, activated, kept while it has users, and deleted when it is empty", async ({ app }) => {
  const name = unique("wound-up");
  const { org_id } = await call<{ org_id: string }>("POST", "/organization", { name, billing_email: "billing@wound.example" }, "superadmin");
  const { user_id, version } = await call<{ user_id: string; version: number }>("POST", "/user", { email: `${name}@wound.example`, role: "user", org_id }, "superadmin");
  const { page, watch } = app;
  await app.signIn("superadmin");
  await app.open("/admin/users?tab=organizations");
  const row = page.getByRole("row", { name });
  await menu(app, name, "Suspend");
  const suspend = page.getByRole("dialog", { name: "Suspend organization" });
  await suspend.getByText("All keys and sessions").waitFor();
  await suspend.getByRole("button", { name: "Suspend" }).click();
  await row.getByText("Suspended").waitFor();
  await menu(app, name, "Activate");
  await page.getByRole("dialog", { name: "Activate organization" }).getByRole("button", { name: "Activate" }).click();
  await row.getByText("Active").waitFor();

  await menu(app, name, "Delete");
  const remove = page.getByRole("dialog", { name: "Delete organization" });
  expect(await remove.getByRole("button", { name: "Delete organization" }).isDisabled()).toBe(true);
  await remove.getByLabel("to confirm").fill(name);
  watch.expects(409, /\/organization\//);
  await remove.getByRole("button", { name: "Delete organization" }).click();
  await remove.getByRole("alert").waitFor();
  await remove.getByRole("button", { name: "Cancel" }).click();
  await row.waitFor();

  const headers = { Authorization: `Bearer ${app.key("superadmin")}`, "If-Match": `"${version}"` };
  expect((await page.request.delete(`/api/config-service/user/${user_id}`, { headers })).ok()).toBe(true);
  await menu(app, name, "Delete");
  await remove.getByLabel("to confirm").fill(name);
  await remove.getByRole("button", { name: "Delete organization" }).click();
  await row.waitFor({ state: "detached" });
});

test("a key whose secret was lost on its way is rotated from the form that made it", async ({ app }) => {
  const name = unique("lost");
  const made = await makeKey({ name });
  const { page, watch } = app;
  await app.signIn();
  await app.open("/admin/keys");
  // The answer to a repeated request, more than ten minutes after the first.
  const json = { error: "secret_already_shown", message: "The secret in this answer was shown over 10 minutes ago.", hint: "Rotate the key.", request_id: "r" };
  await page.route("**/api/config-service/api-key", (route) => (route.request().method() === "POST" ? route.fulfill({ status: 409, json }) : route.fallback()));
  watch.expects(409, /\/api-key$/);
  await page.getByRole("button", { name: "Create key" }).first().click();
  const form = page.getByRole("dialog", { name: "Create key" });
  await form.getByLabel("Name").fill(name);
  await form.getByRole("button", { name: "Create key" }).click();
  await form.getByRole("button", { name: "Rotate it" }).click();
  await form.waitFor({ state: "detached" });
  await page.getByRole("dialog", { name: `Rotate “${name}”` }).getByRole("button", { name: "Rotate key" }).click();
  const shown = page.getByRole("dialog", { name: `Key “${name}” rotated` });
  const secret = (await shown.locator("[data-secret]").textContent())?.trim() ?? "";
  expect(secret).not.toBe(made);
  expect(await statusOf(secret)).toBe(200);
  await shown.getByLabel("I have stored it").check();
  await shown.getByRole("button", { name: "Done" }).click();
  // The row says it, and opening the row is in the address.
  await page.getByRole("row", { name }).getByRole("button", { name, exact: true }).click();
  await page.getByRole("dialog", { name }).getByText("Secret first used").waitFor();
  expect(new URL(page.url()).searchParams.get("open")).not.toBeNull();
  await page.goBack();
  await page.getByRole("dialog", { name }).waitFor({ state: "detached" });
});
