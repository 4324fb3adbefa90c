/** J14: what another site, a foreign name or a script cannot do. */
import { request as httpRequest } from "node:http";
import { describe } from "vitest";
import { expect, stack, test } from "./harness";

const own = stack.baseUrl;

/** A request with headers that a browser would not let a script set. */
function raw(method: string, path: string, headers: Record<string, string>, body = ""): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(own + path, { method, headers }, (response) => {
      let text = "";
      response.on("data", (part: Buffer) => (text += part.toString()));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
    });
    request.on("error", reject);
    request.end(body);
  });
}

async function cookieOf(context: { cookies: () => Promise<{ name: string; value: string }[]> }): Promise<string> {
  const cookie = (await context.cookies()).find((one) => one.name.includes("sy_session"));
  return `${cookie?.name ?? ""}=${cookie?.value ?? ""}`;
}

describe("a request of another site", () => {
  const WRITE = "/api/config-service/user";
  const json = { "Content-Type": "application/json" };
  const attacks: [string, Record<string, string>][] = [
    ["foreign Origin", { "X-Switchyard-Console": "1", Origin: "https://evil.example" }],
    ["no Origin", { "X-Switchyard-Console": "1" }],
    ["Origin null", { "X-Switchyard-Console": "1", Origin: "null" }],
    ["no header of the console", { Origin: own }],
    ["Sec-Fetch-Site cross-site", { "X-Switchyard-Console": "1", Origin: own, "Sec-Fetch-Site": "cross-site" }],
  ];
  test.for(attacks)("is refused: %s", async ([, headers], { app }) => {
    await app.signIn();
    const cookie = await cookieOf(app.page.context());
    const answer = await raw("POST", WRITE, { ...json, ...headers, Cookie: cookie }, "{}");
    expect(answer.status).toBe(403);
    expect(JSON.parse(answer.text)).toMatchObject({ error: "csrf_rejected" });
  });

  test("cannot sign a visitor in", async () => {
    const headers = { ...json, "X-Switchyard-Console": "1", Origin: "https://evil.example" };
    const answer = await raw("POST", "/auth/session", headers, JSON.stringify({ api_key: stack.keys["admin"] }));
    expect(answer.status).toBe(403);
    expect(answer.text).toContain("csrf_rejected");
  });
});

describe.each(["/play", "/auth/session", "/api/config-service/session"])("a foreign name that leads to this machine", (path) => {
  test(`is not served ${path}`, async () => {
    const answer = await raw("GET", path, { Host: "evil.example" });
    expect(answer.status).toBe(403);
    expect(answer.text).toContain("origin_refused");
  });
});

test("the page's policy refuses an inline script, and nobody frames it", async ({ app }) => {
  const response = await app.page.goto("/login");
  const policy = response?.headers()["content-security-policy"] ?? "";
  expect(policy).toContain("script-src 'self';");
  expect(policy).toContain("style-src 'self';");
  expect(policy).toContain("frame-ancestors 'none'");
  expect(policy).not.toContain("unsafe");
});
