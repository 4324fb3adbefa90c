/** J5, J6, J15: what an administrator does in one sitting, with the mouse and with the keyboard alone. */
import { describe } from "vitest";
import { type App, expect, test } from "./harness";
import { type Hands, keyboard, mouse } from "./harness/hands";

const unique = (what: string) => `${what}-${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 6)}`;
const KEY = /sy_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}/;

/** What a key alone is answered, as curl would be. */
async function ask({ stack: { baseUrl } }: App, key: string, path: string): Promise<{ status: number; text: string }> {
  const answer = await fetch(`${baseUrl}/api/config-service${path}`, { headers: { Authorization: `Bearer ${key}` } });
  return { status: answer.status, text: await answer.text() };
}

/** The secret that is on screen, stored and put away. */
async function takeSecret({ page }: App, hands: Hands, title: string): Promise<string> {
  const shown = page.getByRole("dialog", { name: title });
  const secret = (await shown.locator("[data-secret]").textContent())?.trim() ?? "";
  expect(secret).toMatch(KEY);
  await hands.press(shown.getByLabel("I have stored it"));
  await hands.press(shown.getByRole("button", { name: "Done" }));
  await shown.waitFor({ state: "detached" });
  expect(await page.content(), "a secret is shown once").not.toMatch(KEY);
  return secret;
}

async function signIn({ page }: App, hands: Hands, key: string): Promise<void> {
  await hands.write(page.getByLabel("API key").first(), key);
  await hands.press(page.getByRole("button", { name: "Sign in" }));
  await page.waitForURL("**/play**");
}

async function createInstance({ page }: App, hands: Hands, id: string): Promise<void> {
  await hands.press(page.getByRole("link", { name: "Instances" }));
  await hands.press(page.getByRole("button", { name: "Create instance" }));
  const form = page.getByRole("dialog", { name: "Create instance" });
  await hands.write(form.getByLabel("Name"), id);
  for (const step of ["Step 2", "Step 3", "Step 4"]) {
    await hands.press(form.getByRole("button", { name: "Next" }));
    await form.getByText(step).waitFor();
  }
  await hands.press(form.getByRole("button", { name: "Create instance" }));
  await page.waitForURL(`**/admin/instances/${id}*`);
}

async function setProviderKey(app: App, hands: Hands, id: string): Promise<void> {
  const { page } = app;
  const secret = `value-of-${id}`;
  await hands.tab(page.getByRole("tab", { name: "Provider keys" }));
  await hands.press(page.getByRole("button", { name: "Set provider key" }).first());
  const form = page.getByRole("dialog", { name: "Set provider key" });
  await hands.find(form.getByLabel("Provider"), "openai");
  await hands.write(form.getByLabel(/^Key/).first(), secret);
  await hands.press(form.getByRole("button", { name: "Set key" }));
  await form.waitFor({ state: "detached" });
  await page.getByRole("row", { name: "openai" }).waitFor();
  const read = await ask(app, app.key(), `/instance/${id}`);
  for (const text of [await page.content(), read.text]) expect(text, "never shown again").not.toContain(secret);
}

async function setLimits({ page }: App, hands: Hands): Promise<void> {
  await hands.tab(page.getByRole("tab", { name: "Limits" }));
  await hands.choose(page.getByRole("button", { name: "Actions for openai" }), page.getByRole("menuitem", { name: "Edit limits" }));
  const form = page.getByRole("dialog", { name: "Limits of openai" });
  await hands.write(form.getByLabel("Requests"), "7");
  await hands.press(form.getByRole("button", { name: "Save limits" }));
  await form.waitFor({ state: "detached" });
  await page.getByRole("row", { name: "openai" }).getByText("7").first().waitFor();
}

async function createUser({ page }: App, hands: Hands, email: string): Promise<void> {
  await hands.press(page.getByRole("link", { name: "Users" }));
  await hands.press(page.getByRole("button", { name: "Create user" }));
  const form = page.getByRole("dialog", { name: "Create user" });
  await hands.write(form.getByLabel("Email"), email);
  await hands.press(form.getByRole("button", { name: "Create user" }));
  await form.waitFor({ state: "detached" });
  await page.getByRole("row", { name: email }).waitFor();
}

async function grant({ page }: App, hands: Hands, email: string, instance: string): Promise<void> {
  await hands.choose(page.getByRole("button", { name: `Actions for ${email}` }), page.getByRole("menuitem", { name: "Instance access" }));
  await hands.cell(page.getByLabel(`${email} may use ${instance}`));
  await hands.press(page.getByRole("button", { name: `Save access of ${email}` }));
  await page.getByText(`Access of ${email} saved`).first().waitFor();
}

describe.each([
  { name: "the mouse", handsOf: mouse },
  { name: "the keyboard alone", handsOf: keyboard },
])("with $name", ({ handsOf }) => {
  test("an administrator creates, gives and takes back", { timeout: 240_000 }, async ({ app }) => {
    const { page } = app;
    const hands = handsOf(page);
    const id = unique("sat");
    const email = `${id}@acme.example`;
    await app.open("/login");
    await signIn(app, hands, app.key());
    await createInstance(app, hands, id);
    await setProviderKey(app, hands, id);
    await setLimits(app, hands);
    await createUser(app, hands, email);
    await grant(app, hands, email, id);

    await hands.tab(page.getByRole("tab", { name: "Users" }));
    await hands.choose(page.getByRole("button", { name: `Actions for ${email}` }), page.getByRole("menuitem", { name: "API keys" }));
    await page.waitForURL("**/admin/keys?*owner=*");
    await hands.press(page.getByRole("button", { name: "Create key" }).first());
    const form = page.getByRole("dialog", { name: "Create key" });
    await hands.write(form.getByLabel("Name"), id);
    await hands.press(form.getByRole("button", { name: "Create key" }));
    const first = await takeSecret(app, hands, `Key “${id}” created`);
    // It is that person's: what was given can be read, what was not is refused.
    expect((await ask(app, first, `/instance/${id}`)).status).toBe(200);
    expect((await ask(app, first, "/instance/production")).status).toBe(403);
    expect((await ask(app, first, "/user")).status).toBe(403);

    await hands.choose(page.getByRole("button", { name: `Actions for ${id}` }), page.getByRole("menuitem", { name: "Rotate" }));
    await hands.press(page.getByRole("dialog", { name: `Rotate “${id}”` }).getByRole("button", { name: "Rotate key" }));
    const second = await takeSecret(app, hands, `Key “${id}” rotated`);
    expect(second).not.toBe(first);
    expect((await ask(app, second, "/session")).status).toBe(200);

    await hands.choose(page.getByRole("button", { name: `Actions for ${id}` }), page.getByRole("menuitem", { name: "Revoke" }));
    const revoke = page.getByRole("dialog", { name: `Revoke “${id}”` });
    await hands.write(revoke.getByLabel("Reason"), "end of the sitting");
    await hands.write(revoke.getByLabel("to confirm"), id);
    await hands.press(revoke.getByRole("button", { name: "Revoke key" }));
    await page.getByText("No worker accepts it any more").waitFor();
    for (const secret of [first, second]) expect((await ask(app, secret, "/session")).status).toBe(401);
    await hands.press(page.getByRole("button", { name: "Done" }));
    await page.getByRole("row", { name: id }).getByText("Revoked").waitFor();
  });
});
