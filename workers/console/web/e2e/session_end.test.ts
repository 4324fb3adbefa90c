/** J1, the other half: the session ends under an open page. */
import { expect, type App, stack, test } from "./harness";

async function endElsewhere(app: App): Promise<void> {
  const answer = await app.page.request.delete("/auth/session", {
    headers: { "X-Switchyard-Console": "1", Origin: stack.baseUrl },
  });
  expect(answer.status()).toBe(204);
  app.watch.expects(401, /^\/api\//);
}

async function signInOver(app: App, holder = "admin"): Promise<void> {
  const dialog = app.page.getByRole("dialog", { name: "Your session has ended" });
  await dialog.waitFor();
  await dialog.getByLabel("API key").first().fill(app.key(holder));
  await dialog.getByRole("button", { name: "Sign in" }).click();
}

test("keeps a half-filled form, and sends the refused write again when it is told to", async ({ app }) => {
  const email = `again-${crypto.randomUUID().slice(0, 8)}@acme.example`;
  await app.signIn();
  await app.open("/admin/users");
  await app.page.getByRole("button", { name: "Create user" }).first().click();
  const form = app.page.getByRole("dialog", { name: "Create user" });
  await form.getByLabel("Email").fill(email);
  await endElsewhere(app);
  await form.getByRole("button", { name: "Create user" }).click();

  await signInOver(app);
  const again = app.page.getByRole("dialog", { name: "You are signed in again" });
  await again.getByText("POST /api/config-service/user").waitFor();
  // Behind the dialog the form is there, but not for roles and labels.
  const typed = await app.page.locator("[data-dialog-body] input").evaluateAll((all) => all.map((one) => (one as HTMLInputElement).value));
  expect(typed).toContain(email);
  await again.getByRole("button", { name: "Send it again" }).click();
  await form.waitFor({ state: "detached" });
  await app.page.getByRole("row").filter({ hasText: email }).waitFor();
});

test("lets the write fail when it is not sent again; the form stays", async ({ app }) => {
  await app.signIn();
  await app.open("/admin/users");
  await app.page.getByRole("button", { name: "Create user" }).first().click();
  const form = app.page.getByRole("dialog", { name: "Create user" });
  await form.getByLabel("Email").fill("nobody@acme.example");
  await endElsewhere(app);
  await form.getByRole("button", { name: "Create user" }).click();
  await signInOver(app);
  app.takeCalls();
  await app.page.getByRole("button", { name: "Do not send" }).click();
  await form.getByText("auth_failed").waitFor();
  expect(await form.getByLabel("Email").inputValue()).toBe("nobody@acme.example");
  expect(app.takeCalls()).not.toContain("POST /api/config-service/user");
});

test("does not offer the write to another person", async ({ app }) => {
  await app.signIn();
  await app.open("/admin/users");
  await app.page.getByRole("button", { name: "Create user" }).first().click();
  const form = app.page.getByRole("dialog", { name: "Create user" });
  await form.getByLabel("Email").fill("in-whose-name@acme.example");
  await endElsewhere(app);
  await form.getByRole("button", { name: "Create user" }).click();
  app.watch.expects(403, /^\/api\//);
  await signInOver(app, "foreign");
  const told = app.page.getByRole("dialog", { name: /^You are signed in as .*foreign/ });
  await told.getByText("It is not sent in your name").waitFor();
  expect(await app.page.getByRole("button", { name: "Send it again" }).count()).toBe(0);
  app.takeCalls();
  await told.getByRole("button", { name: "Go on" }).click();
  await told.waitFor({ state: "detached" });
  expect(app.takeCalls()).not.toContain("POST /api/config-service/user");
});

test("reads go on by themselves", async ({ app }) => {
  await app.signIn();
  await app.open("/admin/users");
  const rows = await app.page.locator("[data-row]").count();
  await endElsewhere(app);
  await app.page.keyboard.press("r");
  await signInOver(app);
  await app.page.getByRole("dialog").waitFor({ state: "detached" });
  await app.settled();
  expect(await app.page.locator("[data-row]").count()).toBe(rows);
  expect(await app.page.getByRole("alert").count()).toBe(0);
});

test("warns ten minutes before", async ({ app }) => {
  await app.signIn();
  await app.page.route("**/auth/session", async (route) => {
    const response = await route.fetch();
    const document = (await response.json()) as { session: { expires_at: string } };
    document.session.expires_at = new Date(Date.now() + 9 * 60_000).toISOString();
    await route.fulfill({ response, json: document });
  });
  await app.open("/play");
  await app.page.getByText(/^Your session ends at \d\d:\d\d:\d\d$/).waitFor();
});
