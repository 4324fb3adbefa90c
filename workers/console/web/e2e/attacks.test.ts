/** J14: what another site, a foreign name or a script cannot do. */
import { request as httpRequest } from "node:http";
import { describe } from "vitest";
import { expect, stack, test } from "./harness";
import { generate, open, ready, unique } from "./harness/play";

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

test("the page's policy allows scripts and styles of this origin only, and no frame around it", async ({ app }) => {
  const response = await app.page.goto("/login");
  const policy = response?.headers()["content-security-policy"] ?? "";
  expect(policy).toContain("script-src 'self';");
  expect(policy).toContain("style-src 'self';");
  expect(policy).toContain("frame-ancestors 'none'");
  expect(policy).not.toContain("unsafe");
});

test("an inline script and a handler in markup are refused, and do not run", async ({ app }) => {
  const { page } = app;
  app.watch.expectsPolicy(/^policy: script-src-(elem|attr) refused inline /);
  app.watch.expectsLine(/Content Security Policy/);
  await app.open("/login");
  await page.evaluate(async () => {
    const refused: string[] = [];
    Object.assign(window, { __refused: refused });
    document.addEventListener("securitypolicyviolation", (event) => refused.push(event.effectiveDirective));
    const script = document.createElement("script");
    script.textContent = "window.__ran = 'script'";
    document.body.append(script);
    const box = document.createElement("div");
    box.innerHTML = `<img alt="" src="data:image/png,broken" onerror="window.__ran = 'handler'">`;
    const broken = new Promise((resolve) => box.querySelector("img")?.addEventListener("error", resolve));
    document.body.append(box);
    await broken;
  });
  await expect
    .poll(() => page.evaluate(() => (window as unknown as { __refused: string[] }).__refused.toSorted()))
    .toEqual(["script-src-attr", "script-src-elem"]);
  expect(await page.evaluate(() => (window as unknown as { __ran?: string }).__ran)).toBeUndefined();
});

test("a prompt of markup stays text wherever it is shown", async ({ app }) => {
  const { page } = app;
  const prompt = unique(`<img src="data:image/png,x" onerror="window.__ran=1"><script>window.__ran=2</script>`);
  await open(app);
  await generate(app, prompt);
  await ready(app);
  expect(await page.locator("figure img").getAttribute("alt")).toBe(prompt);
  await page.getByRole("tab", { name: "Code" }).click();
  await page.getByRole("region", { name: "curl" }).getByText("window.__ran=1").first().waitFor();
  expect(await page.evaluate(() => (window as unknown as { __ran?: number }).__ran)).toBeUndefined();
  expect(await page.locator("img[onerror], main script").count()).toBe(0);
});
