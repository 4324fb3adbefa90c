/** Instances of a test's own, made past the page: what happens to them happens to no other test. */
import { expect } from "vitest";
import { stack } from "./index";

export interface Wanted {
  /** Keys by provider; a simulated vendor behaves as its key says: `sim-521-<account>`. Without any it has no provider. */
  apiKeys?: Readonly<Record<string, string>>;
  status?: "active" | "deploying";
  /** Pauses it with this reason. */
  paused?: string;
}

let counter = 0;

/** Its id begins so that it stands behind `development` in each list, where the pages take the first. It talks to the same simulated vendors as the stack's own. */
export async function makeInstance(what: string, { apiKeys = {}, status = "active", paused }: Wanted = {}): Promise<string> {
  const id = `own-${what}-${Date.now().toString(36)}-${(counter += 1)}`;
  const template = (await call("GET", "/instance/development", 200)) as { providers: Record<string, Record<string, unknown>>; r2_bucket: string };
  // What only an answer has.
  const own = ["credential_id", "credential_state"];
  const providers = Object.fromEntries(
    Object.entries(template.providers).map(([name, settings]) => [name, Object.fromEntries(Object.entries(settings).filter(([member]) => !own.includes(member)))]),
  );
  const config = { r2_bucket: template.r2_bucket, ...(Object.keys(apiKeys).length === 0 ? {} : { providers, api_keys: apiKeys }) };
  await call("POST", "/instance", 201, { instance_id: id, name: id, status, config });
  if (paused !== undefined) await call("POST", `/instance/${id}/pause`, 200, { reason: paused });
  return id;
}

async function call(method: string, path: string, status: number, body?: object): Promise<unknown> {
  const answer = await fetch(`${stack.baseUrl}/api/config-service${path}`, {
    method,
    headers: { Authorization: `Bearer ${stack.keys["admin"] ?? ""}`, "Content-Type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  expect(answer.status, `${method} ${path}: ${text}`).toBe(status);
  return JSON.parse(text);
}
