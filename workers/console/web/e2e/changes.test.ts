/** J5, J6, J15: what is changed by two, and what ends: by keyboard alone, and in a window of 360 px. */
import { describe } from "vitest";
import { type App, closeApp, expect, openApp, test } from "./harness";
import { type Hands, keyboard, mouse } from "./harness/hands";
import { call, change, made, unique } from "./harness/made";

const ways = [
  { way: "the keyboard alone", width: 1440, handsOf: keyboard },
  { way: "the keyboard alone in a narrow window", width: 360, handsOf: keyboard },
  { way: "the mouse in a narrow window", width: 360, handsOf: mouse },
];

describe.each(ways)("with $way", ({ way, width, handsOf }) => {
  async function sitting(tell: (app: App, hands: Hands) => Promise<void>): Promise<void> {
    const app = await openApp({ viewport: { width, height: 800 } });
    let failed = true;
    try {
      await tell(app, handsOf(app.page));
      failed = false;
    } finally {
      await closeApp(app, `changes with ${way}`, failed);
    }
  }

  /** Saves by the review, and leaves the dialogs to the caller. */
  async function save(app: App, hands: Hands): Promise<void> {
    await hands.press(app.page.getByRole("button", { name: "Review and save" }));
    const review = app.page.getByRole("dialog", { name: "Save these changes?" });
    await review.waitFor();
    await app.dialogFits();
    await hands.press(review.getByRole("button", { name: "Save" }));
  }

  test("an instance is edited by two, merged, and deleted", () =>
    sitting(async (app, hands) => {
      const { page, watch } = app;
      const id = await made(unique("ends"));
      await app.signIn();
      await app.open(`/admin/instances/${id}`);
      await hands.tab(page.getByRole("tab", { name: "Configuration" }));
      await hands.write(page.getByRole("textbox", { name: /^Environment/ }), "mine");
      await hands.write(page.getByRole("textbox", { name: /^Name/ }), `${id} mine`);
      await app.fits();
      await change(`/instance/${id}`, { name: `${id} theirs` });
      watch.expects(412, /\/instance\//);
      await save(app, hands);
      const conflict = page.getByRole("dialog", { name: "Somebody else changed this instance" });
      await conflict.getByText("changed by both", { exact: true }).waitFor();
      await app.dialogFits();
      await hands.pick(conflict.getByRole("radio", { name: "Keep theirs" }));
      await hands.press(conflict.getByRole("button", { name: "Apply mine on theirs" }));
      await conflict.waitFor({ state: "detached" });
      expect(await call("GET", `/instance/${id}`)).toMatchObject({ name: `${id} theirs`, environment: "mine" });

      await hands.tab(page.getByRole("tab", { name: "Danger" }));
      await hands.press(page.getByRole("button", { name: "Delete instance" }));
      const remove = page.getByRole("dialog", { name: /^Delete / });
      await remove.waitFor();
      await app.dialogFits();
      // Left and come back to: nothing happened.
      await page.keyboard.press("Escape");
      await remove.waitFor({ state: "detached" });
      expect(await app.focused()).toBe("button Delete instance");
      await hands.press(page.getByRole("button", { name: "Delete instance" }));
      await hands.write(remove.getByLabel("to confirm"), id);
      await hands.press(remove.getByRole("button", { name: "Delete instance" }));
      await page.waitForURL(/\/admin\/instances(\?|$)/);
      await page.getByRole("row", { name: "Development" }).waitFor();
      await page.getByRole("row", { name: id }).waitFor({ state: "detached" });
      await app.fits();
    }));

  test("an organization is founded, edited by two, suspended, and deleted", () =>
    sitting(async (app, hands) => {
      const { page, watch } = app;
      const name = unique("ends");
      await app.signIn("superadmin");
      await app.open("/admin/users");
      await hands.tab(page.getByRole("tab", { name: "Organizations" }));
      await hands.press(page.getByRole("button", { name: "Create organization" }));
      const create = page.getByRole("dialog", { name: "Create organization" });
      await create.waitFor();
      await app.dialogFits();
      await hands.write(create.getByLabel("Name"), name);
      await hands.write(create.getByLabel("Billing email"), "billing@ends.example");
      await hands.press(create.getByRole("button", { name: "Create organization" }));
      await create.waitFor({ state: "detached" });
      const row = page.getByRole("row", { name });
      await row.waitFor();
      await app.fits();

      const menu = (entry: string) => hands.choose(page.getByRole("button", { name: `Actions for ${name}` }), page.getByRole("menuitem", { name: entry }));
      await menu("Edit");
      const edit = page.getByRole("dialog", { name, exact: true });
      await hands.write(edit.getByLabel("Billing email"), "mine@ends.example");
      const { items } = await call<{ items: { org_id: string; name: string; version: number }[] }>("GET", "/organization?limit=200", undefined, "superadmin");
      const stands = items.find((one) => one.name === name);
      await call("PATCH", `/organization/${stands?.org_id ?? ""}`, { billing_email: "theirs@ends.example" }, "superadmin", { "If-Match": `"${stands?.version ?? 0}"` });
      watch.expects(412, /\/organization\//);
      await hands.press(edit.getByRole("button", { name: "Save" }));
      await edit.getByText("Somebody else changed this organization meanwhile").waitFor();
      await app.dialogFits();
      await hands.press(edit.getByRole("button", { name: "Keep my changes" }));
      await hands.press(edit.getByRole("button", { name: "Save" }));
      await edit.waitFor({ state: "detached" });
      await row.getByText("mine@ends.example").waitFor();

      for (const [entry, then] of [["Suspend", "Suspended"], ["Activate", "Active"]] as const) {
        await menu(entry);
        const dialog = page.getByRole("dialog", { name: `${entry} organization` });
        await dialog.waitFor();
        await app.dialogFits();
        await hands.press(dialog.getByRole("button", { name: entry, exact: true }));
        await row.getByText(then, { exact: true }).waitFor();
      }
      await menu("Delete");
      const remove = page.getByRole("dialog", { name: "Delete organization" });
      await hands.write(remove.getByLabel("to confirm"), name);
      await app.dialogFits();
      await hands.press(remove.getByRole("button", { name: "Delete organization" }));
      await row.waitFor({ state: "detached" });
    }));
});
