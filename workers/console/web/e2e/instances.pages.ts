/** States of `/admin/instances` for `pages.ts`. */
import type { App } from "./harness";
import type { PageState } from "./pages";

const DEVELOPMENT = "/admin/instances/development";

/** An answer of the page's own, so that pictures change nothing. */
async function answering({ page }: App, path: string, method: string, status: number, json: object): Promise<void> {
  await page.route(`**/api/config-service${path}`, (route) => (route.request().method() === method ? route.fulfill({ status, json }) : route.fallback()));
}

async function review({ page }: App): Promise<void> {
  await page.getByRole("textbox", { name: /^Environment/ }).fill("staging");
  await page.getByRole("textbox", { name: /^Name/ }).fill("Development, second");
  await page.getByRole("button", { name: "Review and save" }).click();
  await page.getByRole("dialog", { name: "Save these changes?" }).waitFor();
}

/** Somebody else saved while the form was open. */
async function conflict(app: App): Promise<void> {
  const { page, watch } = app;
  const read = await page.request.get("/api/config-service/instance/development");
  const stands = (await read.json()) as { version: number };
  const current = { ...stands, name: "Development, theirs", version: stands.version + 1 };
  const body = { error: "version_mismatch", message: "It was changed meanwhile.", hint: "Read it again.", request_id: "r", details: { current, current_version: current.version } };
  await answering(app, "/instance/development", "PATCH", 412, body);
  watch.expects(412, /\/instance\/development$/);
  await review(app);
  await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
  await page.getByText("changed by both", { exact: true }).waitFor();
}

/** The list or the instance fails, everything else works. */
async function failing(app: App, path: string, status: number, error: string, message: string): Promise<void> {
  app.watch.expects(status, /^\/api\/config-service\//);
  await answering(app, path, "GET", status, { error, message, hint: "Try again.", docs: `/docs/errors#${error}`, request_id: "01a21cf0-eab1-7b40-aae7-c3f8b64ebc74" });
  await app.page.reload();
  await app.page.getByText(message).waitFor();
}

async function paused(app: App): Promise<void> {
  const read = await app.page.request.get("/api/config-service/instance/development");
  const instance = { ...((await read.json()) as object), status: "paused", paused_reason: "The bucket is being moved" };
  await answering(app, "/instance/development", "GET", 200, instance);
  await app.page.reload();
  await app.page.getByText("Paused: it takes no new work").waitFor();
}

async function missing({ page, watch }: App): Promise<void> {
  watch.expects(404, /\/instance\/nothing-is-called-this/);
  await page.goto("/admin/instances/nothing-is-called-this");
  await page.getByRole("alert").waitFor();
}

export const instancePages: readonly PageState[] = [
  { name: "instances", path: "/admin/instances", as: "admin" },
  { name: "instances-none", path: "/admin/instances?q=nothing-is-called-this", as: "admin" },
  {
    name: "instances-create",
    path: "/admin/instances",
    as: "admin",
    prepare: async ({ page }) => {
      await page.getByRole("button", { name: "Create instance" }).first().click();
      await page.getByRole("dialog", { name: "Create instance" }).waitFor();
    },
  },
  { name: "instance-overview", path: DEVELOPMENT, as: "admin" },
  { name: "instance-config", path: `${DEVELOPMENT}?tab=config`, as: "admin" },
  { name: "instance-keys", path: `${DEVELOPMENT}?tab=keys`, as: "admin" },
  { name: "instance-limits", path: `${DEVELOPMENT}?tab=limits`, as: "admin" },
  { name: "instance-budgets", path: `${DEVELOPMENT}?tab=budgets`, as: "admin" },
  { name: "instance-projects", path: `${DEVELOPMENT}?tab=projects`, as: "admin" },
  { name: "instance-deployments", path: `${DEVELOPMENT}?tab=deployments`, as: "admin" },
  { name: "instance-history", path: `${DEVELOPMENT}?tab=history`, as: "admin" },
  { name: "instance-danger", path: `${DEVELOPMENT}?tab=danger`, as: "admin" },
  { name: "instance-json", path: `${DEVELOPMENT}?tab=config&view=json`, as: "admin" },
  {
    name: "instance-set-key",
    path: `${DEVELOPMENT}?tab=keys`,
    as: "admin",
    prepare: async ({ page }) => {
      await page.getByRole("button", { name: "Set provider key" }).first().click();
      await page.getByRole("dialog", { name: "Set provider key" }).waitFor();
    },
  },
  {
    name: "instance-delete",
    path: `${DEVELOPMENT}?tab=danger`,
    as: "admin",
    prepare: async ({ page }) => {
      await page.getByRole("button", { name: "Delete instance" }).click();
      await page.getByRole("dialog").waitFor();
    },
  },
  { name: "instances-error", path: "/admin/instances", as: "admin", prepare: (app) => failing(app, "/instance?*", 500, "internal_error", "The service failed.") },
  { name: "instances-user", path: "/admin/instances", as: "user" },
  { name: "instance-error", path: DEVELOPMENT, as: "admin", prepare: (app) => failing(app, "/instance/development", 503, "config_unavailable", "The directory does not answer.") },
  { name: "instance-missing", path: DEVELOPMENT, as: "admin", prepare: missing },
  { name: "instance-paused", path: DEVELOPMENT, as: "admin", prepare: paused },
  { name: "instance-diff", path: `${DEVELOPMENT}?tab=config`, as: "admin", prepare: review },
  { name: "instance-conflict", path: `${DEVELOPMENT}?tab=config`, as: "admin", prepare: conflict },
  {
    name: "instance-edit-limit",
    path: `${DEVELOPMENT}?tab=limits`,
    as: "admin",
    prepare: async ({ page }) => {
      await page.getByRole("button", { name: "Actions for openai" }).click();
      await page.getByRole("menuitem", { name: "Edit limits" }).click();
      await page.getByRole("dialog", { name: "Limits of openai" }).waitFor();
    },
  },
];
