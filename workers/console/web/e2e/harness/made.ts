/** What tests stand on, made past the page as curl would: instances, users, keys of their own. What happens to them happens to no other test. */
import { expect } from "vitest";
import type { App } from "./app";
import { stack } from "./index";

/** Sorted behind the instances of the seed, whose first is the one that a page chooses by itself. */
export const unique = (what: string) => `t-${what}-${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 6)}`;

/** A call as curl would make it. */
export async function call<Answer = unknown>(method: string, path: string, body?: object, holder = "admin", headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  const answer = await fetch(`${stack.baseUrl}/api/config-service${path}`, {
    method,
    headers: { Authorization: `Bearer ${stack.keys[holder] ?? ""}`, ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  expect(answer.ok, `${method} ${path}: ${answer.status} ${text}`).toBe(true);
  return JSON.parse(text === "" ? "null" : text) as Answer;
}

/** A merge patch of what stands there now. */
export async function change(path: string, patch: object): Promise<void> {
  const { version } = await call<{ version: number }>("GET", path);
  await call("PATCH", path, patch, "admin", { "If-Match": `"${version}"` });
}

/** An instance of this test's own, active unless said; its id is its name. */
export async function made(name: string, config: object = {}, status: "active" | "deploying" = "active"): Promise<string> {
  await call("POST", "/instance", { instance_id: name, name, status, config });
  return name;
}

export interface Wanted {
  /** Keys by provider; a simulated vendor behaves as its key says: `sim-521-<account>`. Without any it has no provider. */
  apiKeys?: Readonly<Record<string, string>>;
  status?: "active" | "deploying";
  /** Pauses it with this reason. */
  paused?: string;
}

/** An instance that talks to the same simulated vendors as the stack's own. */
export async function makeInstance(what: string, { apiKeys = {}, status = "active", paused }: Wanted = {}): Promise<string> {
  const template = await call<{ providers: Record<string, Record<string, unknown>>; r2_bucket: string }>("GET", "/instance/development");
  // What only an answer has.
  const own = ["credential_id", "credential_state"];
  const providers = Object.fromEntries(
    Object.entries(template.providers).map(([name, settings]) => [name, Object.fromEntries(Object.entries(settings).filter(([member]) => !own.includes(member)))]),
  );
  const id = await made(unique(what), { r2_bucket: template.r2_bucket, ...(Object.keys(apiKeys).length === 0 ? {} : { providers, api_keys: apiKeys }) }, status);
  if (paused !== undefined) await call("POST", `/instance/${id}/pause`, { reason: paused });
  return id;
}

export async function makeUser(email: string): Promise<string> {
  return (await call<{ user_id: string }>("POST", "/user", { email, role: "user" })).user_id;
}

export async function makeKey(body: { name: string; user_id?: string; scopes?: readonly string[] }): Promise<string> {
  return (await call<{ api_key: string }>("POST", "/api-key", body)).api_key;
}

/** What the key alone is answered. */
export async function statusOf(key: string): Promise<number> {
  const answer = await fetch(`${stack.baseUrl}/api/config-service/session`, { headers: { Authorization: `Bearer ${key}` } });
  await answer.text();
  return answer.status;
}

/** Signs in with a key that is no holder's of the stack. */
export async function signInWith({ page }: App, key: string): Promise<void> {
  const answer = await page.request.post("/auth/session", { headers: { "X-Switchyard-Console": "1", Origin: stack.baseUrl }, data: { api_key: key } });
  expect(answer.status(), await answer.text()).toBe(200);
}

export async function menu({ page }: App, row: string, item: string): Promise<void> {
  await page.getByRole("button", { name: `Actions for ${row}`, exact: true }).click();
  await page.getByRole("menuitem", { name: item, exact: true }).click();
}
