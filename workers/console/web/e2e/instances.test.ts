/** J5: an instance from its creation to its end, provider keys, limits, and two people who edit it at once. */
import { describe } from "vitest";
import { type App, closeApp, expect, openApp, test } from "./harness";
import { call, made, makeUser, unique } from "./harness/made";

async function openConfig(app: App, id: string): Promise<void> {
  await app.signIn();
  await app.open(`/admin/instances/${id}?tab=config`);
}

const readInstance = (id: string) => call<{ r2_bucket: string; providers: Record<string, object> }>("GET", `/instance/${id}`);

/** The providers of the simulator, written as JSON: the form has no field for hosts that answers may come from. */
async function speakToSimulator(app: App): Promise<void> {
  const { page } = app;
  const { providers, r2_bucket } = await readInstance("development");
  const { adapter, base_url, allow_private_host, extra_result_hosts, extra_api_hosts } = (providers["openai"] ?? {}) as Record<string, unknown>;
  await page.getByRole("tab", { name: "Configuration" }).click();
  await page.getByRole("radio", { name: "JSON" }).check();
  const text = page.getByLabel("Configuration as JSON");
  await text.fill("{");
  await page.getByText("The JSON cannot be read yet").waitFor();
  await text.fill(JSON.stringify({ ...(JSON.parse(await shown(app)) as object), r2_bucket, providers: { openai: { adapter, base_url, allow_private_host, extra_result_hosts, extra_api_hosts } } }));
  await save(app);
  await page.getByRole("dialog").waitFor({ state: "detached" });
}

/** What the JSON view began with. */
async function shown({ page }: App): Promise<string> {
  await page.getByRole("button", { name: "Discard" }).click();
  return page.getByLabel("Configuration as JSON").inputValue();
}

/** Changes a text of the form and saves it by the review. */
async function edit(app: App, label: RegExp, value: string): Promise<void> {
  await app.page.getByRole("textbox", { name: label }).fill(value);
  await save(app);
}

async function save({ page }: App): Promise<void> {
  await page.getByRole("button", { name: "Review and save" }).click();
  await page.getByRole("dialog", { name: "Save these changes?" }).getByRole("button", { name: "Save" }).click();
}

describe("an instance", () => {
  test("is given to people where it is created, and what fails goes on there", async ({ app }) => {
    const { page } = app;
    const id = unique("shared");
    const [known, taken, fresh] = ["known", "taken", "fresh"].map((who) => `${who}-${id}@acme.example`) as [string, string, string];
    await makeUser(known);
    await makeUser(taken);
    app.watch.expects(409, /\/user$/);
    await app.signIn();
    await app.open("/admin/instances");
    await page.getByRole("button", { name: "Create instance" }).first().click();
    const form = page.getByRole("dialog", { name: "Create instance" });
    await form.getByLabel("Name").fill(id);
    for (const step of ["Step 2", "Step 3"]) {
      await form.getByRole("button", { name: "Next" }).click();
      await form.getByText(step).waitFor();
    }
    await form.getByLabel("Who may use it").click();
    await page.getByLabel("Search the list").fill(known);
    await page.getByRole("option", { name: known }).click();
    await page.keyboard.press("Escape");
    await form.getByLabel("New user").fill("no address");
    await form.getByRole("button", { name: "Next" }).click();
    await form.getByText("An email address has one “@”").waitFor();
    await form.getByLabel("New user").fill(taken);
    await form.getByRole("button", { name: "Next" }).click();
    await form.getByText(`${known}, ${taken} (new)`).waitFor();
    await form.getByRole("button", { name: "Create instance" }).click();

    // The instance and the first access are there; the address was taken.
    await form.getByText(`${id} is created`).waitFor();
    await form.getByText("Has access").waitFor();
    const has = async (email: string) => (await call<{ items: { instances: string[] }[] }>("GET", `/user?q=${encodeURIComponent(email)}`)).items[0]?.instances ?? null;
    expect(await has(known)).toEqual([id]);
    expect(await has(taken)).toEqual([]);
    await form.getByLabel("New user").fill(fresh);
    await form.getByRole("button", { name: "Give access" }).click();
    await page.waitForURL(`**/admin/instances/${id}*`);
    expect(await has(fresh)).toEqual([id]);
    expect(app.watch.calls.filter((one) => one.method === "POST" && one.path.endsWith("/instance")), "created once").toHaveLength(1);
  });

  test("is created in steps, gets a key that is never shown again, is activated, makes a picture, and ends with its id typed", async ({ app }) => {
    const id = unique("made");
    const secret = `sim-ok-${id}`;
    const { page } = app;
    await app.signIn();
    await app.open("/admin/instances");
    await page.getByRole("button", { name: "Create instance" }).first().click();
    const form = page.getByRole("dialog", { name: "Create instance" });
    await form.getByRole("button", { name: "Next" }).click();
    // Nothing was entered: the fault is said where it is.
    await form.getByLabel("Name").waitFor();
    await form.getByLabel("Name").fill(id);
    expect(await form.getByLabel("Id").inputValue()).toBe(id);
    for (const step of ["Step 2", "Step 3", "Step 4"]) {
      await form.getByRole("button", { name: "Next" }).click();
      await form.getByText(step).waitFor();
    }
    await form.getByRole("button", { name: "Create instance" }).click();
    await page.waitForURL(`**/admin/instances/${id}*`);
    await app.settled();

    await page.getByText("Not active yet: it takes no work").waitFor();
    // Before the key: one that was entered for another host is not sent.
    await speakToSimulator(app);
    await page.getByText("It has no provider key yet").getByRole("link", { name: "set one" }).click();
    await page.getByRole("button", { name: "Set provider key" }).first().click();
    const key = page.getByRole("dialog", { name: "Set provider key" });
    await key.getByLabel("Provider").click();
    await page.getByRole("option", { name: "openai" }).click();
    await key.getByLabel(/^Key/).first().fill(secret);
    await key.getByRole("button", { name: "Set key" }).click();
    await key.waitFor({ state: "detached" });
    await page.getByRole("row", { name: "openai" }).waitFor();
    for (const text of [await page.content(), JSON.stringify(await readInstance(id))]) expect(text).not.toContain(secret);

    await page.getByRole("tab", { name: "Limits" }).click();
    await page.getByRole("button", { name: "Actions for openai" }).click();
    await page.getByRole("menuitem", { name: /limit/i }).first().click();
    const limits = page.getByRole("dialog", { name: "Limits of openai" });
    await limits.getByLabel("Requests").fill("7");
    await limits.getByRole("button", { name: "Save limits" }).click();
    await limits.waitFor({ state: "detached" });
    await page.getByRole("row", { name: "openai" }).getByText("7").first().waitFor();

    await page.getByRole("button", { name: "Activate" }).click();
    await page.getByText("Not active yet: it takes no work").waitFor({ state: "detached" });
    await app.open(`/play?instance=${id}`);
    await page.getByLabel("Prompt").fill("a signal box at night");
    await page.getByRole("button", { name: "Generate", exact: true }).click();
    await page.getByRole("heading", { name: "Picture ready" }).waitFor({ timeout: 40_000 });

    await app.open(`/admin/instances/${id}?tab=danger`);
    await page.getByRole("button", { name: "Delete instance" }).click();
    const remove = page.getByRole("dialog", { name: `Delete ${id}?` });
    expect(await remove.getByRole("button", { name: "Delete instance" }).isDisabled()).toBe(true);
    await remove.getByLabel("to confirm").fill(id);
    await remove.getByRole("button", { name: "Delete instance" }).click();
    await page.waitForURL(/\/admin\/instances(\?|$)/);
    await page.getByRole("row", { name: "Development" }).waitFor();
    await page.getByRole("row", { name: id }).waitFor({ state: "detached" });
  });

  describe.each([
    { window: "wide", viewport: { width: 1440, height: 900 } },
    { window: "narrow", viewport: { width: 360, height: 800 } },
  ])("edited by two at once in a $window window", ({ window, viewport }) => {
    async function both(tell: (first: App, second: App, id: string) => Promise<void>): Promise<void> {
      const id = await made(unique("both"));
      const [first, second] = [await openApp({ viewport }), await openApp({ viewport })];
      let failed = true;
      try {
        await openConfig(first, id);
        await openConfig(second, id);
        second.watch.expects(412, /^\/api\/config-service\/instance\//);
        await tell(first, second, id);
        failed = false;
      } finally {
        await closeApp(first, `first of two ${window}`, failed);
        await closeApp(second, `second of two ${window}`, failed);
      }
    }

    test("is saved once; the other sees both versions, and both changes stand", () =>
      both(async (first, second, id) => {
        await second.page.getByRole("textbox", { name: /^Environment/ }).fill("mine");
        await edit(first, /^Name/, `${id} theirs`);
        await first.page.getByText(`${id} theirs saved`).first().waitFor();
        await save(second);
        const conflict = second.page.getByRole("dialog", { name: "Somebody else changed this instance" });
        await conflict.getByText("changed by them").waitFor();
        await conflict.getByText("changed by you").waitFor();
        await conflict.getByText(`${id} theirs`).first().waitFor();
        await second.fits();
        await second.axe(["light"]);
        await conflict.getByRole("button", { name: "Apply mine on theirs" }).click();
        await conflict.waitFor({ state: "detached" });
        expect(await readInstance(id)).toMatchObject({ name: `${id} theirs`, environment: "mine" });
      }));

    test("a member that both changed is chosen, the rest is merged", () =>
      both(async (first, second, id) => {
        await second.page.getByRole("textbox", { name: /^Environment/ }).fill("mine");
        await second.page.getByRole("textbox", { name: /^Name/ }).fill(`${id} mine`);
        await edit(first, /^Name/, `${id} theirs`);
        await first.page.getByText(`${id} theirs saved`).first().waitFor();
        await save(second);
        const conflict = second.page.getByRole("dialog", { name: "Somebody else changed this instance" });
        await conflict.getByText("changed by both", { exact: true }).waitFor();
        for (const version of ["theirs", "mine"]) await conflict.getByText(`${id} ${version}`, { exact: true }).waitFor();
        await conflict.getByRole("radio", { name: "Keep theirs" }).check();
        await second.fits();
        await conflict.getByRole("button", { name: "Apply mine on theirs" }).click();
        await conflict.waitFor({ state: "detached" });
        expect(await readInstance(id)).toMatchObject({ name: `${id} theirs`, environment: "mine" });
      }));
  });

  test("is paused once, however often the keys are pressed", async ({ app }) => {
    const id = await made(unique("paused"));
    const { page } = app;
    await app.signIn();
    await app.open(`/admin/instances/${id}?tab=danger`);
    let sent = 0;
    let release = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    await page.route(`**/instance/${id}/pause`, async (route) => {
      sent += 1;
      await held;
      await route.continue();
    });
    await page.getByRole("button", { name: "Pause", exact: true }).click();
    const dialog = page.getByRole("dialog", { name: `Pause ${id}?` });
    await dialog.getByLabel("Reason").fill("maintenance");
    await page.keyboard.press("Control+Enter");
    await dialog.locator("button[aria-busy]").waitFor();
    await page.keyboard.press("Control+Enter");
    await page.keyboard.press("Enter");
    release();
    await page.getByText("Paused: it takes no new work").waitFor();
    expect(sent).toBe(1);
    await page.getByText("maintenance").first().waitFor();
    // Who and since when, and the way back, on whatever tab one is.
    await page.getByRole("tab", { name: "Overview" }).click();
    await page.getByText(/Since .*, by (key|session):/).waitFor();
    await page.getByRole("button", { name: "Resume" }).click();
    await page.getByRole("dialog", { name: `Resume ${id}?` }).getByRole("button", { name: "Resume" }).click();
    await page.getByText("Paused: it takes no new work").waitFor({ state: "detached" });
  });
});
