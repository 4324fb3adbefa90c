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

/** The development instance with other members, as the page reads it. */
async function changed(app: App, members: object): Promise<void> {
  const read = await app.page.request.get("/api/config-service/instance/development");
  await answering(app, "/instance/development", "GET", 200, { ...((await read.json()) as object), ...members });
  await app.page.reload();
  await app.settled();
}

/** Elsewhere than on one's own machine, where an instance's workers must be deployed before it is activated. */
async function unregistered(app: App): Promise<void> {
  await app.page.route("**/auth/session", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...((await response.json()) as object), environment: "production" } });
  });
  await changed(app, { status: "deploying", worker_urls: {} });
  await app.page.getByText("The addresses of its workers are missing").waitFor();
}

/** The dialog that creates, at its step of this number. */
async function createAt({ page }: App, step: number): Promise<void> {
  await page.getByRole("button", { name: "Create instance" }).first().click();
  const form = page.getByRole("dialog", { name: "Create instance" });
  await form.getByLabel("Name").fill("Autumn campaign");
  await form.getByLabel("Environment").fill("staging");
  for (let at = 2; at <= step; at += 1) {
    await form.getByRole("button", { name: "Next" }).click();
    await form.getByText(`Step ${at}`).waitFor();
    if (at === 2) await form.getByLabel("OpenAI key").fill("not-a-key-of-anybody");
    if (at === 3) await form.getByLabel("OpenAI: requests").fill("60");
  }
}

async function refused(app: App): Promise<void> {
  const problems = [{ pointer: "/environment", rule: "must be 1 to 40 characters" }, { pointer: "/budgets/0/limit_usd_micros", rule: "must be 1 to 10000000000000" }];
  const body = { error: "invalid_config", message: "The configuration breaks rules; details.problems lists all of them.", hint: "Correct each member listed in details.problems.", request_id: "01a21cf0-eab1-7b40-aae7-c3f8b64ebc74", details: { problems } };
  await answering(app, "/instance", "POST", 400, body);
  app.watch.expects(400, /\/instance$/);
  await createAt(app, 4);
  await app.page.getByRole("dialog").getByRole("button", { name: "Create instance" }).click();
  await app.page.getByRole("list", { name: "Problems" }).waitFor();
}

/** The instance is made, and the access of a person is not. */
async function accessLeft(app: App): Promise<void> {
  const { page, watch } = app;
  await answering(app, "/instance", "POST", 201, { instance_id: "autumn-campaign", name: "Autumn campaign", status: "deploying" });
  await answering(app, "/user/*/instance/*", "PUT", 503, {
    error: "config_unavailable", message: "The directory does not answer.", hint: "Try again.", docs: "/docs/errors#config_unavailable", request_id: "01a21cf0-eab1-7b40-aae7-c3f8b64ebc74",
  });
  watch.expects(503, /\/user\/[^/]+\/instance\//);
  await createAt(app, 3);
  const form = page.getByRole("dialog", { name: "Create instance" });
  await form.getByLabel("Who may use it").click();
  await page.getByRole("option").first().click();
  await page.keyboard.press("Escape");
  await form.getByRole("button", { name: "Next" }).click();
  await form.getByRole("button", { name: "Create instance" }).click();
  await form.getByText("Autumn campaign is created").waitFor();
}

async function opened({ page }: App, button: string, dialog: string | RegExp): Promise<void> {
  await page.getByRole("button", { name: button, exact: true }).first().click();
  await page.getByRole("dialog", { name: dialog }).waitFor();
}

async function ofRow({ page }: App, row: string, item: string, dialog: string | RegExp): Promise<void> {
  await page.getByRole("button", { name: `Actions for ${row}`, exact: true }).click();
  await page.getByRole("menuitem", { name: item, exact: true }).click();
  await page.getByRole("dialog", { name: dialog }).waitFor();
}

/** A list of the page's own, with one row. */
async function listing(app: App, path: string, items: readonly object[]): Promise<void> {
  await answering(app, path, "GET", 200, { items, next_cursor: null });
  await app.page.reload();
  await app.settled();
}

const AT = "2026-11-20T10:15:00Z";
const PROJECT = { project_id: "01a21cf0-eab1-7b40-aae7-c3f8b64ebc74", instance_id: "development", org_id: "o", name: "Spring campaign", created_by: "user:01a2", version: 1, created_at: AT, updated_at: AT };

async function project(app: App, item: string, dialog: string): Promise<void> {
  await listing(app, "/project?*", [PROJECT]);
  await answering(app, `/project/${PROJECT.project_id}`, "GET", 200, { ...PROJECT, settings: { team: "web", colours: ["#0b5fff"] } });
  await ofRow(app, PROJECT.name, item, dialog);
}

const BUDGET = { scope: "provider:openai", period: "month", limit_usd_micros: 50_000_000 };

/** One budget, read with the limits that are there. */
async function budget(app: App, item: string, dialog: string): Promise<void> {
  const read = await app.page.request.get("/api/config-service/instance/development/limits");
  await answering(app, "/instance/development/limits", "GET", 200, { ...((await read.json()) as object), budgets: [BUDGET] });
  await app.page.reload();
  await ofRow(app, "provider:openai per month", item, dialog);
}

const DEPLOYMENT = {
  deployment_id: "01a21cf0-eab1-7b40-aae7-c3f8b64ebc74", status: "failed", actor: "github:deploy", source: "github:812", git_sha: "7ecd2be0a1b2c3d4e5f60718293a4b5c6d7e8f90",
  artifact_hash: null, config_hash: null, plan_hash: null, lease_expires_at: null, created_at: AT, ended_at: "2026-11-20T10:18:20Z",
  plan: {
    schema: 1,
    actions: [
      { op: "create", kind: "r2_bucket", name: "dev-images" },
      { op: "update", kind: "worker", name: "image-gen-development", fields: { "vars.LOG_LEVEL": { from: "INFO", to: "WARN" }, code: { from: "ab12cd3", to: "ef45aa1" } } },
      { op: "drift", kind: "queue_consumer", name: "switchyard-development-jobs", fields: { "settings.max_retries": { from: 3, to: 10 } } },
    ],
  },
  journal: [
    { step: "r2_bucket dev-images", state: "done", at: "2026-11-20T10:15:40Z" },
    { step: "worker image-gen-development", state: "done", at: "2026-11-20T10:17:02Z" },
    { step: "smoke", state: "failed", at: "2026-11-20T10:18:19Z", note: "GET /health answered 503 three times." },
  ],
  result: { api_calls: 61, worker_urls: { image_gen: "https://image-gen-development.acme.workers.dev" } },
};

async function missing({ page, watch }: App): Promise<void> {
  watch.expects(404, /\/instance\/nothing-is-called-this/);
  await page.goto("/admin/instances/nothing-is-called-this");
  await page.getByRole("alert").waitFor();
}

export const instancePages: readonly PageState[] = [
  { name: "instances", path: "/admin/instances", as: "admin" },
  { name: "instances-first", path: "/admin/instances", as: "admin", prepare: (app) => listing(app, "/instance?*", []).then(() => app.page.getByText("No instances yet").waitFor()) },
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
  { name: "instance-resume", path: DEVELOPMENT, as: "admin", prepare: (app) => paused(app).then(() => opened(app, "Resume", /^Resume/)) },
  {
    name: "instance-leave",
    path: `${DEVELOPMENT}?tab=config`,
    as: "admin",
    prepare: async ({ page }) => {
      await page.getByRole("textbox", { name: /^Environment/ }).fill("staging");
      await page.getByRole("tab", { name: "Limits" }).click();
      await page.getByRole("dialog", { name: "Leave without saving?" }).waitFor();
    },
  },
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
  ...[2, 3, 4].map((step) => ({ name: `instances-create-${step}`, path: "/admin/instances", as: "admin", prepare: (app: App) => createAt(app, step) })),
  { name: "instances-create-access", path: "/admin/instances", as: "admin", prepare: accessLeft },
  { name: "instances-create-refused", path: "/admin/instances", as: "admin", prepare: refused },
  { name: "instance-deploying", path: DEVELOPMENT, as: "admin", prepare: (app) => changed(app, { status: "deploying", api_keys: {} }) },
  { name: "instance-unregistered", path: DEVELOPMENT, as: "admin", prepare: unregistered },
  { name: "instance-pause", path: `${DEVELOPMENT}?tab=danger`, as: "admin", prepare: (app) => opened(app, "Pause", /^Pause/) },
  { name: "instance-add-budget", path: `${DEVELOPMENT}?tab=budgets`, as: "admin", prepare: (app) => opened(app, "Add budget", "Add budget") },
  { name: "instance-edit-budget", path: `${DEVELOPMENT}?tab=budgets`, as: "admin", prepare: (app) => budget(app, "Edit budget", "Edit budget") },
  { name: "instance-remove-budget", path: `${DEVELOPMENT}?tab=budgets`, as: "admin", prepare: (app) => budget(app, "Remove budget", "Remove this budget?") },
  { name: "instance-create-project", path: `${DEVELOPMENT}?tab=projects`, as: "admin", prepare: (app) => opened(app, "Create project", "Create project") },
  { name: "instance-edit-project", path: `${DEVELOPMENT}?tab=projects`, as: "admin", prepare: (app) => project(app, "Edit", "Edit Spring campaign") },
  { name: "instance-delete-project", path: `${DEVELOPMENT}?tab=projects`, as: "admin", prepare: (app) => project(app, "Delete", "Delete Spring campaign?") },
  { name: "instance-rotate-key", path: `${DEVELOPMENT}?tab=keys`, as: "admin", prepare: (app) => ofRow(app, "openai", "Rotate key", "Rotate the key of openai") },
  { name: "instance-delete-key", path: `${DEVELOPMENT}?tab=keys`, as: "admin", prepare: (app) => ofRow(app, "openai", "Delete key", "Delete the key of openai?") },
  { name: "instance-keys-none", path: `${DEVELOPMENT}?tab=keys`, as: "admin", prepare: (app) => listing(app, "/instance/development/provider-key", []) },
  {
    name: "instance-entry",
    path: `${DEVELOPMENT}?tab=history`,
    as: "admin",
    prepare: async ({ page }) => {
      await page.locator("[data-row] th button").last().click();
      await page.getByRole("dialog").getByText("Request id").waitFor();
    },
  },
  {
    name: "instance-deployment",
    path: `${DEVELOPMENT}?tab=deployments`,
    as: "admin",
    prepare: async (app) => {
      await listing(app, "/instance/development/deployments?*", [DEPLOYMENT]);
      await app.page.locator("[data-row] th button").click();
      await app.page.getByRole("dialog", { name: "Deployment" }).getByText("GET /health answered").waitFor();
    },
  },
  ...[
    { tab: "keys", asks: "/instance/development/provider-key" },
    { tab: "limits", asks: "/instance/development/limits" },
    { tab: "budgets", asks: "/instance/development/limits" },
    { tab: "projects", asks: "/project?*" },
    { tab: "deployments", asks: "/instance/development/deployments?*" },
    { tab: "history", asks: "/audit?*" },
  ].map(({ tab, asks }) => ({
    name: `instance-${tab}-error`,
    path: `${DEVELOPMENT}?tab=${tab}`,
    as: "admin",
    prepare: (app: App) => failing(app, asks, 500, "internal_error", "The service failed."),
  })),
  { name: "instance-config-user", path: `${DEVELOPMENT}?tab=config`, as: "user" },
  { name: "instance-no-right", path: `${DEVELOPMENT}?tab=danger`, as: "user" },
];
