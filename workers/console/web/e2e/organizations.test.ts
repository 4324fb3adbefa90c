/** J6, J13: a superadmin founds an organization; its first administrator has it to himself. */
import { type App, expect, test } from "./harness";

const unique = (what: string) => `${what}-${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 6)}`;

async function foundOrganization({ page }: App, name: string): Promise<void> {
  await page.getByRole("button", { name: "Create organization" }).first().click();
  const form = page.getByRole("dialog", { name: "Create organization" });
  await form.getByLabel("Name").fill(name);
  await form.getByLabel("Billing email").fill("billing@founded.example");
  await form.getByRole("button", { name: "Create organization" }).click();
  await form.waitFor({ state: "detached" });
  await page.getByRole("row", { name }).waitFor();
}

test("a superadmin creates an organization, its administrator and a key; the key opens that organization and no other", async ({ app, other }) => {
  const name = unique("founded");
  const email = `${name}@founded.example`;
  const { page } = app;
  await app.signIn("superadmin");
  await app.open("/admin/users?tab=organizations");
  await foundOrganization(app, name);

  await page.getByRole("tab", { name: "Users" }).click();
  await page.getByRole("button", { name: "Create user" }).first().click();
  const user = page.getByRole("dialog", { name: "Create user" });
  await user.getByLabel("Email").fill(email);
  await user.getByRole("radio", { name: /^Admin/ }).check();
  await user.getByRole("combobox", { name: /^Organization/ }).selectOption({ label: name });
  await user.getByRole("button", { name: "Create user" }).click();
  await user.waitFor({ state: "detached" });

  await page.getByRole("button", { name: `Actions for ${email}` }).click();
  await page.getByRole("menuitem", { name: "API keys" }).click();
  await page.waitForURL("**/admin/keys?*owner=*");
  await page.getByRole("button", { name: "Create key" }).first().click();
  const form = page.getByRole("dialog", { name: "Create key" });
  await form.getByLabel("Name").fill("first key");
  await form.getByRole("button", { name: "Create key" }).click();
  const shown = page.getByRole("dialog", { name: "Key “first key” created" });
  const secret = (await shown.locator("[data-secret]").textContent())?.trim() ?? "";
  await shown.getByLabel("I have stored it").check();
  await shown.getByRole("button", { name: "Done" }).click();
  await shown.waitFor({ state: "detached" });

  await other.open("/login");
  await other.page.getByLabel("API key").first().fill(secret);
  await other.page.getByRole("button", { name: "Sign in" }).click();
  await other.page.waitForURL("**/play**");
  await other.page.getByText("You have no instance yet").waitFor();
  await other.page.getByRole("link", { name: "Users" }).click();
  await other.page.getByRole("row", { name: email }).waitFor();
  // Its own administrator, and nobody else's people.
  expect(await other.page.locator("[data-row]").count()).toBe(1);
  expect(await other.page.getByRole("tab", { name: "Organizations" }).count()).toBe(0);
});

test("two superadmins edit one organization: the second sees both versions and keeps what he wants", async ({ app, other }) => {
  const name = unique("edited");
  other.watch.expects(412, /^\/api\/config-service\/organization\//);
  await app.signIn("superadmin");
  await app.open("/admin/users?tab=organizations");
  await foundOrganization(app, name);
  await other.signIn("superadmin");
  await other.open("/admin/users?tab=organizations");
  for (const { page } of [app, other]) {
    await page.getByRole("button", { name: `Actions for ${name}` }).click();
    await page.getByRole("menuitem", { name: "Edit" }).click();
  }
  const first = app.page.getByRole("dialog", { name });
  await first.getByLabel("Billing email").fill("theirs@founded.example");
  await first.getByRole("button", { name: "Save" }).click();
  await first.waitFor({ state: "detached" });

  const second = other.page.getByRole("dialog", { name });
  await second.getByLabel("Name").fill(`${name} mine`);
  await second.getByRole("button", { name: "Save" }).click();
  await second.getByText("Somebody else changed this organization meanwhile").waitFor();
  await second.getByText("theirs@founded.example").first().waitFor();
  await second.getByRole("button", { name: "Keep my changes" }).click();
  await second.getByRole("button", { name: "Save" }).click();
  await second.waitFor({ state: "detached" });
  const row = other.page.getByRole("row", { name: `${name} mine` });
  await row.getByText("theirs@founded.example").waitFor();
});
