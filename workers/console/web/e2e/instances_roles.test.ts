/** J13: an instance seen by who may use it and not change it. */
import { expect, test } from "./harness";
import { makeKey, signInWith, unique } from "./harness/made";

const DEVELOPMENT = "/admin/instances/development";

test("a user reads configuration, limits and budgets, and is told what the rest needs", async ({ app }) => {
  const { page } = app;
  await app.signIn("user");
  await app.open(DEVELOPMENT);
  expect(await page.getByRole("tab").allTextContents()).toEqual(["Overview", "Configuration", "Limits", "Budgets", "Projects", "Deployments"]);

  await page.getByRole("tab", { name: "Configuration" }).click();
  await page.getByText("changing it needs the role “admin”").waitFor();
  const name = page.getByRole("textbox", { name: /^Name/ });
  expect(await name.isDisabled()).toBe(true);
  expect(await page.getByRole("button", { name: "Add provider" }).count()).toBe(0);
  for (const tab of ["Limits", "Budgets"]) {
    await page.getByRole("tab", { name: tab }).click();
    await app.settled();
    expect(await page.getByRole("button", { name: /^(Actions for|Add budget)/ }).count()).toBe(0);
  }
  app.takeCalls();
  for (const [tab, title] of [["danger", "The tab “Danger” needs the role “admin” and the scope “config:write”"], ["keys", "The tab “Provider keys” needs the role “admin”"], ["history", "The tab “History” needs the role “admin” and the scope “audit:read”"]] as const) {
    await app.open(`${DEVELOPMENT}?tab=${tab}`);
    await page.getByText(title).waitFor();
    await page.getByText("You are signed in with the role “user”").waitFor();
  }
  // Nothing was asked for that is refused anyway.
  expect(app.takeCalls().filter((call) => /provider-key|audit/.test(call))).toEqual([]);
  await app.axe(["light"]);
});

test("an administrator whose key cannot write looks, and changes nothing", async ({ app }) => {
  const { page } = app;
  await signInWith(app, await makeKey({ name: unique("key"), scopes: ["config:read", "images:read"] }));
  await app.open("/admin/instances");
  await page.getByRole("row", { name: "Development" }).waitFor();
  expect(await page.getByRole("button", { name: "Create instance" }).count()).toBe(0);
  await app.open(DEVELOPMENT);
  expect(await page.getByRole("tab").allTextContents()).toEqual(["Overview", "Configuration", "Provider keys", "Limits", "Budgets", "Projects", "Deployments"]);
  await app.open(`${DEVELOPMENT}?tab=config`);
  expect(await page.getByRole("textbox", { name: /^Name/ }).isDisabled()).toBe(true);
  for (const tab of ["keys", "limits", "budgets", "projects"]) {
    await app.open(`${DEVELOPMENT}?tab=${tab}`);
    expect(await page.getByRole("button", { name: /^(Actions for|Add budget|Set provider key|Create project)/ }).count(), tab).toBe(0);
  }
  await app.open(`${DEVELOPMENT}?tab=danger`);
  await page.getByText("The tab “Danger” needs the role “admin” and the scope “config:write”").waitFor();
  await app.open("/admin/users");
  expect(await page.getByRole("button", { name: "Create user" }).count()).toBe(0);
});
