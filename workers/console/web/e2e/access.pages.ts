/** States of `/admin/users` and `/admin/keys` for `pages.ts`. */
import type { App } from "./harness";
import type { PageState } from "./pages";

const button = ({ page }: App, name: string) => page.getByRole("button", { name }).first();

async function menu(app: App, row: string | RegExp, item: string): Promise<void> {
  await app.page.getByRole("button", { name: row }).first().click();
  await app.page.getByRole("menuitem", { name: item }).click();
  await app.page.getByRole("dialog").waitFor();
}

/** The list fails and everything else works. */
async function failing({ page, watch }: App, path: string): Promise<void> {
  watch.expects(500, /^\/api\/config-service\//);
  const body = { error: "internal_error", message: "The service failed.", hint: "Try again.", docs: "/docs/errors#internal_error", request_id: "01a21cf0-eab1-7b40-aae7-c3f8b64ebc74" };
  await page.route(`**/api/config-service${path}*`, (route) => route.fulfill({ status: 500, json: body }));
  await page.reload();
  await page.getByText("The service failed.").waitFor();
}

/** Somebody else saved first: what stands there now. */
async function overtaken(app: App, path: string, title: RegExp, current: object): Promise<void> {
  const { page, watch } = app;
  watch.expects(412, /^\/api\/config-service\//);
  const json = { error: "version_mismatch", message: "It was changed meanwhile.", hint: "Read it again.", request_id: "r", details: { current, current_version: 9 } };
  await page.route(`**/api/config-service${path}`, (route) => (route.request().method() === "PATCH" ? route.fulfill({ status: 412, json }) : route.fallback()));
  const form = page.getByRole("dialog");
  await form.getByLabel("Name").fill("named by me");
  await form.getByRole("button", { name: "Save" }).click();
  await page.getByText(title).waitFor();
}

/** A list of the page's own; what is shown does not depend on what other tests make. */
async function listing(app: App, path: string, items: readonly object[]): Promise<void> {
  const { page } = app;
  await page.route(`**/api/config-service${path}*`, (route) => (route.request().method() === "GET" ? route.fulfill({ json: { items, next_cursor: null } }) : route.fallback()));
  await page.reload();
  await app.settled();
}

/** Nothing is there yet; what makes the first one stands on the page once. */
async function none(app: App, path: string, title: string, create?: string): Promise<void> {
  await listing(app, path, []);
  await app.page.getByText(title).waitFor();
  const buttons = create === undefined ? 1 : await app.page.getByRole("button", { name: create, exact: true }).count();
  if (buttons !== 1) throw new Error(`“${create ?? ""}” is there ${buttons} times`);
}

/** A list whose things have a status that no seeded one has. */
async function all(app: App, path: string, status: string): Promise<void> {
  const read = await app.page.request.get(`/api/config-service${path}`);
  const { items } = (await read.json()) as { items: object[] };
  await listing(app, path, items.map((item) => ({ ...item, status })));
}

const ACME = "Actions for Acme Corp.";

const OF_ADMIN = /^Actions for (?!user@)/;

export const accessPages: readonly PageState[] = [
  { name: "users", path: "/admin/users", as: "admin" },
  { name: "users-superadmin", path: "/admin/users", as: "superadmin" },
  { name: "users-empty", path: "/admin/users?q=nobody-has-this", as: "admin" },
  { name: "users-error", path: "/admin/users", as: "admin", prepare: (app) => failing(app, "/user?") },
  { name: "users-no-right", path: "/admin/users", as: "user" },
  {
    name: "users-create",
    path: "/admin/users",
    as: "admin",
    prepare: async (app) => {
      await button(app, "Create user").click();
      await app.page.getByRole("dialog").getByRole("button", { name: "Create user" }).click();
      await app.page.getByText("Enter an email address.").waitFor();
    },
  },
  { name: "users-edit", path: "/admin/users?q=user%40acme", as: "admin", prepare: (app) => menu(app, "Actions for user@acme.example", "Edit") },
  {
    name: "users-own-guards",
    path: "/admin/users?q=admin%40acme",
    as: "admin",
    prepare: async (app) => {
      await button(app, "Actions for admin@acme.example").click();
      await app.page.getByRole("menu").waitFor();
    },
  },
  { name: "users-delete", path: "/admin/users?q=user%40acme", as: "admin", prepare: (app) => menu(app, "Actions for user@acme.example", "Delete") },
  {
    name: "users-last-admin",
    path: "/admin/users?q=admin%40foreign",
    as: "superadmin",
    prepare: async (app) => {
      await menu(app, "Actions for admin@foreign.example", "Disable");
      await app.page.getByText("This is the last active administrator").first().waitFor();
    },
  },
  {
    name: "access-matrix",
    path: "/admin/users?tab=access",
    as: "admin",
    prepare: async ({ page }) => {
      // Changed, and not saved.
      await page.getByLabel("user@acme.example may use Production").click();
      await page.getByRole("button", { name: "Save access of user@acme.example" }).waitFor();
    },
  },
  { name: "organizations", path: "/admin/users?tab=organizations", as: "superadmin" },
  { name: "keys", path: "/admin/keys", as: "admin" },
  {
    name: "keys-expiring",
    path: "/admin/keys",
    as: "admin",
    prepare: async ({ page }) => {
      const soon = new Date(Date.now() + 3 * 86_400_000).toISOString();
      await page.route("**/api/config-service/api-key*", async (route) => {
        if (route.request().method() !== "GET") return route.fallback();
        const response = await route.fetch();
        const list = (await response.json()) as { items: object[] };
        const [first, ...rest] = list.items;
        await route.fulfill({ response, json: { ...list, items: [{ ...first, state: "expiring", expires_at: soon }, ...rest] } });
      });
      await page.reload();
      await page.getByRole("row").getByText("Expiring").first().waitFor();
    },
  },
  { name: "keys-user", path: "/admin/keys", as: "user" },
  { name: "keys-empty", path: "/admin/keys?status=orphaned", as: "user" },
  { name: "keys-error", path: "/admin/keys", as: "admin", prepare: (app) => failing(app, "/api-key") },
  {
    name: "keys-create",
    path: "/admin/keys",
    as: "admin",
    prepare: async (app) => {
      await button(app, "Create key").click();
      await app.page.getByRole("radio", { name: "Chosen scopes" }).click();
    },
  },
  {
    name: "keys-show-once",
    path: "/admin/keys",
    as: "admin",
    prepare: async ({ page }) => {
      // An answer of the page's own: pictures must not use up the 20 keys of the owner.
      const made = { key_id: "4fGh7kQ2mZ0a", api_key: `sy_4fGh7kQ2mZ0a_${"x".repeat(49)}`, shown_once: true, last4: "xxxx", name: "picture", expires_at: null, version: 1 };
      const key = { ...made, api_key: undefined, secret_first_used_at: null, instance_ids: null };
      await page.route("**/api/config-service/api-key", (route) => (route.request().method() === "POST" ? route.fulfill({ status: 201, json: made }) : route.fallback()));
      await page.route("**/api/config-service/api-key/4fGh7kQ2mZ0a", (route) => route.fulfill({ status: 200, json: key }));
      await page.getByRole("button", { name: "Create key" }).first().click();
      await page.getByRole("dialog").getByLabel("Name").fill("picture");
      await page.getByRole("dialog").getByRole("button", { name: "Create key" }).click();
      await page.getByText("Not used yet").waitFor();
    },
  },
  { name: "keys-details", path: "/admin/keys", as: "admin", prepare: (app) => menu(app, OF_ADMIN, "Details") },
  { name: "keys-rotate", path: "/admin/keys?status=active", as: "admin", prepare: (app) => menu(app, OF_ADMIN, "Rotate") },
  { name: "keys-narrow", path: "/admin/keys?status=active", as: "admin", prepare: (app) => menu(app, OF_ADMIN, "Rename or narrow") },
  { name: "keys-revoke", path: "/admin/keys?status=active", as: "superadmin", prepare: (app) => menu(app, /^Actions for (?!.*super)/, "Revoke") },
  {
    name: "keys-conflict",
    path: "/admin/keys?status=active",
    as: "admin",
    prepare: async (app) => {
      const { page, watch } = app;
      watch.expects(412, /\/api-key\//);
      const current = { name: "named by somebody else", scopes: ["images:read", "config:read"] };
      await page.route("**/api/config-service/api-key/*", (route) =>
        route.request().method() === "PATCH"
          ? route.fulfill({ status: 412, json: { error: "version_mismatch", message: "It was changed meanwhile.", hint: "Read it again.", request_id: "r", details: { current, current_version: 2 } } })
          : route.fallback(),
      );
      await menu(app, OF_ADMIN, "Rename or narrow");
      await page.getByRole("dialog").getByLabel("Name").fill("named by me");
      await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
      await page.getByText("Somebody else changed this key meanwhile").waitFor();
    },
  },
  { name: "sessions", path: "/admin/keys?tab=sessions", as: "admin" },
  {
    name: "users-conflict",
    path: "/admin/users?q=user%40acme",
    as: "admin",
    prepare: async (app) => {
      await menu(app, "Actions for user@acme.example", "Edit");
      await overtaken(app, "/user/*", /changed this user meanwhile/, { name: "named by somebody else", role: "user", version: 9 });
    },
  },
  { name: "users-disable", path: "/admin/users?q=user%40acme", as: "admin", prepare: (app) => menu(app, "Actions for user@acme.example", "Disable") },
  {
    name: "users-enable",
    path: "/admin/users",
    as: "admin",
    prepare: async (app) => {
      await all(app, "/user", "disabled");
      await menu(app, "Actions for user@acme.example", "Enable");
    },
  },
  { name: "access-matrix-none", path: "/admin/users?tab=access", as: "admin", prepare: (app) => none(app, "/user?", "Nobody with the role", "Create user") },
  { name: "users-none", path: "/admin/users", as: "admin", prepare: (app) => none(app, "/user?", "No users yet", "Create user") },
  { name: "keys-none", path: "/admin/keys", as: "admin", prepare: (app) => none(app, "/api-key", "No keys yet", "Create key") },
  { name: "organizations-none", path: "/admin/users?tab=organizations", as: "superadmin", prepare: (app) => none(app, "/organization", "No organizations yet", "Create organization") },
  { name: "sessions-none", path: "/admin/keys?tab=sessions", as: "admin", prepare: (app) => none(app, "/session/list", "No live sessions") },
  { name: "access-matrix-error", path: "/admin/users?tab=access", as: "admin", prepare: (app) => failing(app, "/access") },
  { name: "organizations-error", path: "/admin/users?tab=organizations", as: "superadmin", prepare: (app) => failing(app, "/organization") },
  {
    name: "organizations-create",
    path: "/admin/users?tab=organizations",
    as: "superadmin",
    prepare: async (app) => {
      await button(app, "Create organization").click();
      await app.page.getByRole("dialog").getByRole("button", { name: "Create organization" }).click();
      await app.page.getByText("Enter a name; it tells").waitFor();
    },
  },
  { name: "organizations-edit", path: "/admin/users?tab=organizations", as: "superadmin", prepare: (app) => menu(app, ACME, "Edit") },
  { name: "organizations-suspend", path: "/admin/users?tab=organizations", as: "superadmin", prepare: (app) => menu(app, ACME, "Suspend") },
  {
    name: "organizations-activate",
    path: "/admin/users?tab=organizations",
    as: "superadmin",
    prepare: async (app) => {
      await all(app, "/organization", "suspended");
      await menu(app, ACME, "Activate");
    },
  },
  { name: "organizations-delete", path: "/admin/users?tab=organizations", as: "superadmin", prepare: (app) => menu(app, ACME, "Delete") },
  {
    name: "organizations-conflict",
    path: "/admin/users?tab=organizations",
    as: "superadmin",
    prepare: async (app) => {
      await menu(app, ACME, "Edit");
      await overtaken(app, "/organization/*", /changed this organization meanwhile/, { name: "Acme, theirs", billing_email: "theirs@acme.example", version: 9 });
    },
  },
  { name: "sessions-error", path: "/admin/keys?tab=sessions", as: "admin", prepare: (app) => failing(app, "/session/list") },
  {
    name: "sessions-end",
    path: "/admin/keys?tab=sessions",
    as: "admin",
    prepare: async (app) => {
      const read = await app.page.request.get("/api/config-service/session/list");
      const { items } = (await read.json()) as { items: object[] };
      const session = { ...items[0], session_id: "01a21cf0-eab1-7b40-aae7-c3f8b64ebc74", label: "Firefox on Linux" };
      await listing(app, "/session/list", [session]);
      await menu(app, "Actions for Firefox on Linux", "End session");
    },
  },
  {
    name: "keys-lost-secret",
    path: "/admin/keys",
    as: "admin",
    prepare: async ({ page, watch }) => {
      watch.expects(409, /\/api-key$/);
      const json = { error: "secret_already_shown", message: "The secret in this answer was shown over 10 minutes ago.", hint: "A secret is shown once; mint or rotate a key.", request_id: "r" };
      await page.route("**/api/config-service/api-key", (route) => (route.request().method() === "POST" ? route.fulfill({ status: 409, json }) : route.fallback()));
      await page.getByRole("button", { name: "Create key" }).first().click();
      // The key of the seed: one of that name that works.
      await page.getByRole("dialog").getByLabel("Name").fill("dev");
      await page.getByRole("dialog").getByRole("button", { name: "Create key" }).click();
      await page.getByText("its secret was shown already").waitFor();
      await page.getByRole("button", { name: "Rotate it" }).waitFor();
    },
  },
];
