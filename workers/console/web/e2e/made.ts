/** What journeys of the administration stand on: instances, users, keys of their own, made past the page. */
import { type App, expect, stack } from "./harness";

/** Sorted behind the instances of the seed, whose first is the one that a page chooses by itself. */
export const unique = (what: string) => `t-${what}-${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 6)}`;

/** A call as curl would make it. */
export async function call<Answer = unknown>(method: string, path: string, body?: object, holder = "admin"): Promise<Answer> {
  const answer = await fetch(`${stack.baseUrl}/api/config-service${path}`, {
    method,
    headers: { Authorization: `Bearer ${stack.keys[holder] ?? ""}`, ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  expect(answer.ok, `${method} ${path}: ${answer.status} ${text}`).toBe(true);
  return JSON.parse(text === "" ? "null" : text) as Answer;
}

/** An active instance of this test's own; its id is its name. */
export async function made(name: string, config: object = {}): Promise<string> {
  await call("POST", "/instance", { instance_id: name, name, status: "active", config });
  return name;
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
