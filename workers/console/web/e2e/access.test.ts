/** J6, J13, J15: users, access to instances, keys and sessions. Each test makes what it changes, so order does not matter. */
import { afterAll, describe } from "vitest";
import { type App, expect, stack, test } from "./harness";
import { tabTo } from "./harness/hands";

const unique = (what: string) => `${what}-${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 6)}`;
const KEY = /sy_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}/;

async function menu({ page }: App, row: string, item: string): Promise<void> {
  await page.getByRole("button", { name: `Actions for ${row}` }).click();
  await page.getByRole("menuitem", { name: item, exact: true }).click();
}

/** Asks with the key alone, as curl does. */
async function status({ stack: { baseUrl } }: App, key: string): Promise<number> {
  const answer = await fetch(`${baseUrl}/api/config-service/session`, { headers: { Authorization: `Bearer ${key}` } });
  return answer.status;
}

// An owner has 20 working keys at most, so what a run makes is ended: the stack may be one that is used again.
afterAll(async () => {
  const address = `${stack.baseUrl}/api/config-service/api-key`;
  const headers = { Authorization: `Bearer ${stack.keys["admin"] ?? ""}` };
  const { items } = (await (await fetch(`${address}?limit=200`, { headers })).json()) as { items: { key_id: string; name: string; revoked_at: string | null }[] };
  const made = items.filter(({ name, revoked_at }) => revoked_at === null && /^(key|tested|twice|typed)-/.test(name));
  for (const { key_id } of made) await fetch(`${address}/${key_id}?reason=test`, { method: "DELETE", headers });
});

/** Creates a key in the open page and gives its secret, confirmed as stored. */
async function createKey(app: App, name: string): Promise<string> {
  const { page } = app;
  await page.getByRole("button", { name: "Create key" }).first().click();
  const form = page.getByRole("dialog", { name: "Create key" });
  await form.getByLabel("Name").fill(name);
  await form.getByRole("button", { name: "Create key" }).click();
  return takeSecret(app, `Key “${name}” created`);
}

async function takeSecret({ page }: App, title: string): Promise<string> {
  const shown = page.getByRole("dialog", { name: title });
  const secret = (await shown.locator("[data-secret]").textContent())?.trim() ?? "";
  expect(secret).toMatch(KEY);
  // It does not close before it is confirmed.
  await page.keyboard.press("Escape");
  expect(await shown.getByRole("button", { name: "Done" }).isDisabled()).toBe(true);
  await shown.getByLabel("I have stored it").check();
  await shown.getByRole("button", { name: "Done" }).click();
  await shown.waitFor({ state: "detached" });
  return secret;
}

async function createUser(app: App, email: string): Promise<void> {
  const { page } = app;
  await page.getByRole("button", { name: "Create user" }).first().click();
  const form = page.getByRole("dialog", { name: "Create user" });
  await form.getByLabel("Email").fill(email);
  await form.getByRole("button", { name: "Create user" }).click();
  await form.waitFor({ state: "detached" });
  await page.getByRole("row", { name: email }).waitFor();
}

describe("users", () => {
  test("creates a user, gives access to an instance, and both are there without a reload", async ({ app }) => {
    const email = `${unique("made")}@acme.example`;
    await app.signIn();
    await app.open("/admin/users");
    await createUser(app, email);

    await menu(app, email, "Instance access");
    await app.page.getByLabel(`${email} may use Development`).check();
    await app.page.getByRole("button", { name: `Save access of ${email}` }).click();
    await app.page.getByText(`Access of ${email} saved`).first().waitFor();
    expect(await app.page.getByLabel(`${email} may use Development`).isChecked()).toBe(true);

    await app.page.getByRole("tab", { name: "Users" }).click();
    await app.page.getByLabel("Search users").fill(email);
    await app.page.getByRole("row", { name: email }).getByText("development").waitFor();
    expect(new URL(app.page.url()).searchParams.get("q")).toBe(email);
  });

  test("says what is wrong beside the field and puts the focus there", async ({ app }) => {
    await app.signIn();
    await app.open("/admin/users");
    await app.page.getByRole("button", { name: "Create user" }).first().click();
    const form = app.page.getByRole("dialog", { name: "Create user" });
    await form.getByLabel("Email").fill("no-at-sign");
    await form.getByRole("button", { name: "Create user" }).click();
    await form.getByText("one “@” with text on both sides").waitFor();
    expect(await app.focused()).toContain("Email");
  });

  test("two administrators edit one user: the second sees both versions and keeps what he wants", async ({ app, other }) => {
    const email = `${unique("both")}@acme.example`;
    other.watch.expects(412, /^\/api\/config-service\/user\//);
    await app.signIn();
    await app.open("/admin/users");
    await createUser(app, email);
    await other.signIn();
    await other.open(`/admin/users?q=${encodeURIComponent(email)}`);
    await menu(other, email, "Edit");
    await menu(app, email, "Edit");

    const first = app.page.getByRole("dialog", { name: email });
    await first.getByLabel("Name").fill("First");
    await first.getByRole("button", { name: "Save" }).click();
    await first.waitFor({ state: "detached" });

    const second = other.page.getByRole("dialog", { name: email });
    await second.getByLabel("Name").fill("Second");
    await second.getByRole("button", { name: "Save" }).click();
    await second.getByText("Somebody else changed this user meanwhile").waitFor();
    await second.getByText("First").waitFor();
    await second.getByRole("button", { name: "Keep my changes" }).click();
    await second.getByRole("button", { name: "Save" }).click();
    await second.waitFor({ state: "detached" });
    await other.page.getByRole("row", { name: email }).getByText("Second").waitFor();
  });

  test("explains why nobody changes or deletes himself", async ({ app }) => {
    await app.signIn();
    await app.open("/admin/users?q=admin%40acme");
    await app.page.getByRole("button", { name: "Actions for admin@acme.example" }).click();
    const remove = app.page.getByRole("menuitem", { name: "Delete" });
    expect(await remove.getAttribute("aria-disabled")).toBe("true");
    expect(await remove.textContent()).toContain("Nobody deletes himself");
    await app.page.keyboard.press("Escape");
    await menu(app, "admin@acme.example", "Edit");
    await app.page.getByText("Nobody changes his own role").waitFor();
  });

  test("refuses to disable the last administrator of an organization", async ({ app }) => {
    await app.signIn("superadmin");
    await app.open("/admin/users?q=admin%40foreign");
    await menu(app, "admin@foreign.example", "Disable");
    const dialog = app.page.getByRole("dialog", { name: "Disable user" });
    await dialog.getByText("This is the last active administrator").first().waitFor();
    expect(await dialog.getByRole("button", { name: "Disable" }).getAttribute("aria-disabled")).toBe("true");
  });

  test("deletes a user after the email is typed", async ({ app }) => {
    const email = `${unique("gone")}@acme.example`;
    await app.signIn();
    await app.open("/admin/users");
    await createUser(app, email);
    await menu(app, email, "Delete");
    const dialog = app.page.getByRole("dialog", { name: "Delete user" });
    expect(await dialog.getByRole("button", { name: "Delete user" }).isDisabled()).toBe(true);
    await dialog.getByLabel("to confirm").fill(email);
    await dialog.getByRole("button", { name: "Delete user" }).click();
    await app.page.getByRole("row", { name: email }).waitFor({ state: "detached" });
  });
});

describe("keys", () => {
  test("creates a key that works, rotates it with both deadlines, revokes it, and it is refused in time", async ({ app }) => {
    const name = unique("key");
    await app.signIn();
    await app.open("/admin/keys");
    const first = await createKey(app, name);
    await app.page.getByRole("row", { name }).waitFor();
    expect(await status(app, first)).toBe(200);
    for (const where of [app.page.url(), await app.page.content(), await app.page.evaluate(() => JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage), history.state]))]) {
      expect(where).not.toMatch(KEY);
    }

    await menu(app, name, "Rotate");
    const rotate = app.page.getByRole("dialog", { name: `Rotate “${name}”` });
    await rotate.getByText("Old secret will work until").waitFor();
    await rotate.getByText("New secret will work until").waitFor();
    await rotate.getByRole("button", { name: "Rotate key" }).click();
    await app.page.getByText("Old secret works until").waitFor();
    const second = await takeSecret(app, `Key “${name}” rotated`);
    expect(second).not.toBe(first);
    expect([await status(app, first), await status(app, second)]).toEqual([200, 200]);

    await menu(app, name, "Revoke");
    const revoke = app.page.getByRole("dialog", { name: `Revoke “${name}”` });
    await revoke.getByLabel("Reason").fill("end of the test");
    await revoke.getByLabel("to confirm").fill(name);
    await revoke.getByRole("button", { name: "Revoke key" }).click();
    await app.page.getByText("Effective by").waitFor();
    await app.page.getByText("No worker accepts it any more").waitFor();
    expect(await status(app, second)).toBe(401);
    await app.page.getByRole("button", { name: "Done" }).click();
    await app.page.getByRole("row", { name }).getByText("Revoked").waitFor();
  });

  test("says that a new key was used", async ({ app }) => {
    const name = unique("tested");
    await app.signIn();
    await app.open("/admin/keys");
    await app.page.getByRole("button", { name: "Create key" }).first().click();
    const form = app.page.getByRole("dialog", { name: "Create key" });
    await form.getByLabel("Name").fill(name);
    await form.getByRole("button", { name: "Create key" }).click();
    const shown = app.page.getByRole("dialog", { name: `Key “${name}” created` });
    await shown.getByText("Not used yet").waitFor();
    const secret = (await shown.locator("[data-secret]").textContent()) ?? "";
    expect(await status(app, secret)).toBe(200);
    await shown.getByText("First used").waitFor();
  });

  test("explains a rotation in progress and goes on only when it is told to", async ({ app }) => {
    const name = unique("twice");
    await app.signIn();
    await app.open("/admin/keys");
    await createKey(app, name).then((secret) => status(app, secret));
    await menu(app, name, "Rotate");
    await app.page.getByRole("button", { name: "Rotate key" }).click();
    const second = await takeSecret(app, `Key “${name}” rotated`);
    await status(app, second);
    await app.page.getByRole("button", { name: "Refresh", exact: true }).click();
    await app.page.getByRole("row", { name }).getByText("Rotating").waitFor();
    await app.settled();

    await menu(app, name, "Rotate");
    const dialog = app.page.getByRole("dialog", { name: `Rotate “${name}”` });
    await dialog.getByText("A rotation is in progress").first().waitFor();
    expect(await dialog.getByRole("button", { name: "Rotate key" }).getAttribute("aria-disabled")).toBe("true");
    await dialog.getByLabel("End the oldest secret now and rotate").check();
    await dialog.getByRole("button", { name: "Rotate key" }).click();
    await takeSecret(app, `Key “${name}” rotated`);
  });

  test("is narrowed by two: the second sees both versions, and what he keeps is the less of both", async ({ app, other }) => {
    const name = unique("key");
    other.watch.expects(412, /^\/api\/config-service\/api-key\//);
    await app.signIn();
    await app.open("/admin/keys");
    await createKey(app, name);
    await other.signIn();
    await other.open("/admin/keys");
    for (const one of [app, other]) await menu(one, name, "Rename or narrow");

    const first = app.page.getByRole("dialog", { name: `Narrow “${name}”` });
    await first.getByLabel("Name").fill(`${name} theirs`);
    await first.getByRole("checkbox", { name: "images:write" }).uncheck();
    await first.getByRole("button", { name: "Save" }).click();
    await first.waitFor({ state: "detached" });

    const second = other.page.getByRole("dialog", { name: `Narrow “${name}”` });
    await second.getByRole("checkbox", { name: "images:read" }).uncheck();
    await second.getByRole("button", { name: "Save" }).click();
    await second.getByText("Somebody else changed this key meanwhile").waitFor();
    await second.getByText(`${name} theirs`).first().waitFor();
    await second.getByRole("button", { name: "Keep my changes" }).click();
    expect(await second.getByRole("checkbox", { name: "images:read" }).isChecked()).toBe(false);
    await second.getByRole("button", { name: "Save" }).click();
    await second.waitFor({ state: "detached" });
    const row = other.page.getByRole("row", { name: `${name} theirs` });
    await row.waitFor();
    const id = (await row.getByRole("button", { name: /^Actions for/ }).getAttribute("aria-label"))?.replace("Actions for ", "");
    const { items } = (await (await fetch(`${stack.baseUrl}/api/config-service/api-key?limit=200`, { headers: { Authorization: `Bearer ${app.key()}` } })).json()) as {
      items: { name: string; scopes: string[] }[];
    };
    const scopes = items.find((key) => key.name === id)?.scopes ?? [];
    expect(scopes).toContain("config:read");
    for (const gone of ["images:read", "images:write"]) expect(scopes).not.toContain(gone);
  });

  test("does not revoke the key of its own session, and says why", async ({ app }) => {
    await app.signIn();
    await app.open("/admin/keys");
    const own = app.page.getByRole("row").filter({ hasText: "this session" });
    await own.getByRole("button", { name: /^Actions for/ }).click();
    const revoke = app.page.getByRole("menuitem", { name: "Revoke" });
    expect(await revoke.getAttribute("aria-disabled")).toBe("true");
    expect(await revoke.textContent()).toContain("This session acts as it");
  });

  test("ends another session, which is signed out", async ({ app, other }) => {
    await app.signIn();
    await other.signIn();
    await other.open("/admin/keys?tab=sessions");
    await app.open("/admin/keys?tab=sessions");
    const mine = other.page.getByRole("row").filter({ hasText: "this session" });
    await mine.waitFor();
    await other.page.getByRole("button", { name: "Columns" }).click();
    await other.page.getByRole("menuitemcheckbox", { name: "Session id" }).click();
    await app.page.getByRole("button", { name: "Columns" }).click();
    await app.page.getByRole("menuitemcheckbox", { name: "Session id" }).click();
    const id = await mine.locator('[data-label="Session id"] [title]').first().getAttribute("title");
    const row = app.page.getByRole("row").filter({ has: app.page.locator(`[title="${id ?? ""}"]`) });
    await row.getByRole("button", { name: /^Actions for/ }).click();
    await app.page.getByRole("menuitem", { name: "End session" }).click();
    await app.page.getByRole("dialog", { name: "End session" }).getByRole("button", { name: "End session" }).click();
    await row.waitFor({ state: "detached" });

    other.watch.expects(401, /^\/api\/config-service\//);
    await other.page.getByRole("button", { name: "Refresh", exact: true }).click();
    await other.page.getByRole("dialog").waitFor();
  });
});

describe("a user without administration", () => {
  test("sees only his own keys, and nobody's users", async ({ app }) => {
    await app.signIn("user");
    await app.open("/admin/keys");
    await app.page.getByRole("row").filter({ hasText: "user@acme.example" }).first().waitFor();
    expect(await app.page.getByText("admin@acme.example").count()).toBe(0);
    expect(await app.page.getByRole("link", { name: "Users" }).count()).toBe(0);
    app.takeCalls();
    await app.open("/admin/users");
    await app.page.getByText("This page needs the role “admin”").waitFor();
    expect(app.takeCalls().filter((call) => call.includes("/user"))).toEqual([]);
  });

  test("is not found another organization's users", async ({ app }) => {
    await app.signIn("foreign");
    await app.open("/admin/users");
    await app.page.getByRole("row", { name: "admin@foreign.example" }).waitFor();
    expect(await app.page.getByText("@acme.example").count()).toBe(0);
  });
});

describe("by keyboard alone", () => {
  test("moves through the matrix with arrows, toggles with Space, and saves", async ({ app }) => {
    const email = `${unique("hands")}@acme.example`;
    await app.signIn();
    await app.open("/admin/users");
    await createUser(app, email);
    await app.open(`/admin/users?tab=access&q=${encodeURIComponent(email)}`);
    const [first, second] = [app.page.locator('[data-cell="0:0"]'), app.page.locator('[data-cell="0:1"]')];
    await tabTo(app.page, first);
    await app.page.keyboard.press("ArrowRight");
    expect(await second.evaluate((cell) => cell === document.activeElement)).toBe(true);
    await app.page.keyboard.press("Space");
    expect(await second.isChecked()).toBe(true);
    await app.page.keyboard.press("Tab");
    expect(await app.focused()).toContain("Save access of");
    await app.page.keyboard.press("Enter");
    await app.page.getByText(`Access of ${email} saved`).first().waitFor();
  });

  test("creates a key with the shortcut and without a pointer", async ({ app }) => {
    const name = unique("typed");
    await app.signIn();
    await app.open("/admin/keys");
    await app.page.keyboard.press("n");
    await app.page.getByRole("dialog", { name: "Create key" }).waitFor();
    await tabTo(app.page, app.page.getByLabel("Name"));
    await app.page.keyboard.type(name);
    await app.page.keyboard.press("Control+Enter");
    const shown = app.page.getByRole("dialog", { name: `Key “${name}” created` });
    await shown.waitFor();
    await tabTo(app.page, shown.getByLabel("I have stored it"));
    await app.page.keyboard.press("Space");
    await app.page.keyboard.press("Tab");
    await app.page.keyboard.press("Enter");
    await shown.waitFor({ state: "detached" });
    await app.page.getByRole("row", { name }).waitFor();
  });
});
