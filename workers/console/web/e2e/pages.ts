/** Every page and every state of it that must be seen: axe, overflow and pictures go through this list. */
import { accessPages } from "./access.pages";
import type { App } from "./harness";
import { instancePages } from "./instances.pages";
import { playStates } from "./play_states";

export interface PageState {
  /** Unique; names the picture: `instances-empty`. */
  name: string;
  path: string;
  /** Holder of the key; signed out when `null`. */
  as: string | null;
  /** Brings the page into its state: opens a dialog, provokes an error (say it: `app.watch.expects(..)`). */
  prepare?: (app: App) => Promise<void>;
}

/** Elsewhere: this page learns of it by a refusal. */
async function endSession({ page, watch }: App): Promise<void> {
  watch.expects(401, /^\/api\//);
  const origin = new URL(page.url()).origin;
  await page.request.delete("/auth/session", { headers: { "X-Switchyard-Console": "1", Origin: origin } });
}

const WRONG_KEY = "sy_4fGh7kQ2mZ0a_";

export const pages: readonly PageState[] = [
  { name: "login", path: "/login", as: null },
  {
    name: "login-error",
    path: "/login",
    as: null,
    prepare: async ({ page }) => {
      await page.getByLabel("API key", { exact: false }).first().fill(WRONG_KEY);
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByText("characters, this text has").waitFor();
    },
  },
  { name: "play-signed-out", path: "/play", as: null },
  { name: "play", path: "/play", as: "admin" },
  ...playStates,
  ...instancePages,
  ...accessPages,
  { name: "docs", path: "/docs/", as: null },
  { name: "docs-errors", path: "/docs/errors#rate_limited", as: null },
  { name: "docs-benchmarks", path: "/docs/benchmarks", as: null },
  { name: "not-found", path: "/admin/nothing-here", as: "admin" },
  {
    name: "session-ended",
    path: "/admin/keys",
    as: "admin",
    prepare: async (app) => {
      const { page } = app;
      await endSession(app);
      await page.getByRole("button", { name: "Refresh", exact: true }).click();
      await page.getByRole("dialog", { name: "Your session has ended" }).waitFor();
    },
  },
  {
    name: "signed-in-again",
    path: "/admin/users",
    as: "admin",
    prepare: async (app) => {
      const { page } = app;
      await page.getByRole("button", { name: "Create user" }).click();
      const form = page.getByRole("dialog", { name: "Create user" });
      await form.getByLabel("Email").fill("ada@acme.example");
      await endSession(app);
      await form.getByRole("button", { name: "Create user" }).click();
      const dialog = page.getByRole("dialog", { name: "Your session has ended" });
      await dialog.getByLabel("API key").first().fill(app.key("admin"));
      await dialog.getByRole("button", { name: "Sign in" }).click();
      await page.getByRole("dialog", { name: "You are signed in again" }).waitFor();
    },
  },
  {
    name: "shortcuts",
    path: "/play",
    as: "admin",
    prepare: async ({ page }) => {
      await page.keyboard.press("?");
      await page.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
    },
  },
];
