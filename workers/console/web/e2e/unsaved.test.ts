/** What is typed and not saved stays, or is given up on purpose; and what somebody else saved meanwhile stands. */
import { expect, test } from "./harness";
import { call, made, makeUser, unique } from "./harness/made";

test("JSON that cannot be read survives a look at the form, and another tab asks before it is lost", async ({ app }) => {
  const id = await made(unique("unread"));
  const { page } = app;
  await app.signIn();
  await app.open(`/admin/instances/${id}?tab=config&view=json`);
  const text = page.getByLabel("Configuration as JSON");
  await text.fill('{ "name": ');
  await page.getByRole("radio", { name: "Form" }).check();
  await page.getByRole("textbox", { name: /^Name/ }).waitFor();
  // What stands in the way of saving is shown.
  await page.getByRole("button", { name: "Review and save" }).click();
  expect(await text.inputValue()).toBe('{ "name": ');

  const leave = page.getByRole("dialog", { name: "Leave without saving?" });
  await page.getByRole("tab", { name: "Limits" }).click();
  await leave.getByRole("button", { name: "Stay here" }).click();
  await leave.waitFor({ state: "detached" });
  expect(await text.inputValue()).toBe('{ "name": ');
  await page.getByRole("tab", { name: "Limits" }).click();
  await leave.getByRole("button", { name: "Leave, and lose it" }).click();
  await page.waitForURL("**tab=limits**");
});

test("“Discard mine” shows what the other one saved", async ({ app }) => {
  const id = await made(unique("discard"));
  const { page, watch } = app;
  await app.signIn();
  await app.open(`/admin/instances/${id}?tab=config`);
  const environment = page.getByRole("textbox", { name: /^Environment/ });
  await environment.fill("mine");
  const { version } = await call<{ version: number }>("GET", `/instance/${id}`);
  const headers = { Authorization: `Bearer ${app.key()}`, "If-Match": `"${version}"` };
  expect((await page.request.patch(`/api/config-service/instance/${id}`, { headers, data: { config: { environment: "theirs" } } })).ok()).toBe(true);
  watch.expects(412, /\/instance\//);
  await page.getByRole("button", { name: "Review and save" }).click();
  await page.getByRole("dialog", { name: "Save these changes?" }).getByRole("button", { name: "Save" }).click();
  await page.getByRole("dialog", { name: "Somebody else changed this instance" }).getByRole("button", { name: "Discard mine" }).click();
  expect(await environment.inputValue()).toBe("theirs");
});

test("a limit that is no number is not saved as none", async ({ app }) => {
  const id = await made(unique("number"), { rate_limits: { ideogram: { rpm: 60 } } });
  const { page } = app;
  await app.signIn();
  await app.open(`/admin/instances/${id}?tab=limits`);
  await page.getByRole("row").filter({ hasText: "ideogram" }).getByRole("button").first().click();
  const dialog = page.getByRole("dialog", { name: "Limits of ideogram" });
  const field = dialog.getByLabel("Requests", { exact: true });
  await field.click();
  await page.keyboard.press("Control+A");
  await page.keyboard.type("5e");
  app.takeCalls();
  await dialog.getByRole("button", { name: "Save limits" }).click();
  await dialog.getByText("Must be a whole number, 1 to 6,000.").waitFor();
  expect(app.takeCalls().filter((made) => made.startsWith("PUT"))).toEqual([]);
});

test("the access matrix saves what was toggled, on what others gave meanwhile", async ({ app }) => {
  const email = `${unique("two")}@acme.example`;
  const user = await makeUser(email);
  const { page } = app;
  await app.signIn();
  await app.open(`/admin/users?tab=access&q=${encodeURIComponent(email)}`);
  await page.getByLabel(`${email} may use Development`).check();
  await call("PUT", `/user/${user}/instance`, { instance_ids: ["production"] });
  // A search that does not find the row keeps it while it has something to save.
  await page.getByLabel("Search users").fill("nobody has this text");
  await page.getByRole("button", { name: `Save access of ${email}` }).click();
  await page.getByText(`Access of ${email} saved`).first().waitFor();
  const { items } = await call<{ items: { instance_id: string }[] }>("GET", `/access?user_id=${user}`);
  expect(items.map((grant) => grant.instance_id).sort()).toEqual(["development", "production"]);
});
