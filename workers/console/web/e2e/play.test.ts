/** J2, J3, J4: a picture with everything that belongs to it, its failures, and one charge whatever is clicked. */
import { describe } from "vitest";
import type { App } from "./harness";
import { expect, stack, test } from "./harness";
import { tabTo } from "./harness/hands";
import { charges, generate, GENERATE, naturalSize, newTag, open, ready, sentKeys, unique, watchAfter5s, whatIsKept } from "./harness/play";

/** Of the right form, and known to nobody. */
const UNKNOWN_KEY = `sy_wrong0000000_${"A".repeat(43)}2L7pVH`;

async function fact({ page }: App, name: string): Promise<string> {
  const found = page.locator("dl > div").filter({ has: page.locator("dt").getByText(name, { exact: true }) });
  return (await found.locator("dd").innerText()).trim();
}

async function copied({ page }: App, button: string): Promise<string> {
  await page.getByRole("button", { name: button, exact: true }).first().click();
  return page.evaluate(() => navigator.clipboard.readText());
}

describe("a picture (J2)", () => {
  test("made by the session is shown with all that belongs to it", async ({ app }) => {
    await open(app);
    const answered = app.page.waitForResponse((response) => GENERATE.test(response.url()));
    await generate(app, unique("a lighthouse at dawn"));
    const body = (await (await answered).json()) as {
      image_url: string;
      r2_path: string;
      request_id: string;
      metadata: { provider: string; model: string; dimensions: string };
    };
    await ready(app);
    expect(await naturalSize(app)).toBe(body.metadata.dimensions);
    expect(await fact(app, "Dimensions")).toBe(body.metadata.dimensions);
    expect(await fact(app, "Provider")).toBe(body.metadata.provider);
    expect(await fact(app, "Model")).toBe(body.metadata.model);
    expect(await fact(app, "Cost")).toMatch(/^\$0\.\d{2}/);
    expect(await fact(app, "Generation time")).toMatch(/ m?s$/);
    const stages = await app.page.getByRole("list", { name: "Stages" }).getByRole("listitem").allInnerTexts();
    expect(stages.map((stage) => stage.split(/[:\n]/)[0])).toEqual(["Key", "Plan", "Admission", "Provider", "Storage", "Altogether"]);
    for (const stage of stages) expect(stage, "each has its time").toMatch(/\d m?s$/);
    expect(await copied(app, "Copy CDN URL")).toBe(body.image_url);
    expect(await copied(app, "Copy R2 path")).toBe(body.r2_path);
    expect(await copied(app, "Copy request id")).toBe(body.request_id);

    const curl = await copied(app, "Copy as curl");
    expect(curl).toContain("/api/image-gen/generate");
    expect(curl).toContain("$SWITCHYARD_KEY");
    expect(curl).not.toContain("sy_");
    // The page's own patience is not the client's.
    expect(curl).not.toContain("timeout_ms");
  });

  test("made signed out, with a typed key that stays out of address and storage", async ({ app }) => {
    await app.open("/play");
    await app.page.getByLabel("API key").fill(app.key());
    await app.page.getByLabel("Instance ID").selectOption("development");
    await generate(app, unique("a red boat"));
    await ready(app);
    expect(await naturalSize(app)).toMatch(/^\d{3,4}x\d{3,4}$/);
    expect(await app.page.locator("figure img").getAttribute("src")).toMatch(/^blob:/);
    const seen = await app.page.evaluate(() => location.href + JSON.stringify(history.state) + JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage)]));
    expect(seen).not.toContain("sy_");
  });

  test("a key that is typed instead of the session is gone when its page is left", async ({ app }) => {
    const { page } = app;
    await open(app);
    const key = page.getByLabel("API key");
    await page.getByRole("button", { name: "Use another key" }).click();
    await key.fill(app.key("user"));
    await page.getByRole("link", { name: "Instances", exact: true }).click();
    await page.getByRole("row", { name: "Development" }).waitFor();
    await page.goBack();
    await page.getByText("Using your session").waitFor();
    await page.getByRole("button", { name: "Use another key" }).click();
    expect(await key.inputValue()).toBe("");
  });

  test("is filed under a project that is chosen by its name", async ({ app }) => {
    const name = `filed ${newTag()}`;
    const made = await fetch(`${stack.baseUrl}/api/config-service/project`, {
      method: "POST",
      headers: { Authorization: `Bearer ${app.key()}`, "Content-Type": "application/json" },
      body: JSON.stringify({ instance_id: "development", name }),
    });
    const { project_id } = (await made.json()) as { project_id: string };
    await open(app);
    await app.page.getByRole("button", { name: "More options" }).click();
    await app.page.getByRole("combobox", { name: "Project" }).selectOption({ label: name });
    const answered = app.page.waitForResponse((response) => GENERATE.test(response.url()));
    await generate(app, unique("a lighthouse for a campaign"));
    expect(((await (await answered).json()) as { r2_path: string }).r2_path).toContain(`/${project_id}/`);
    await ready(app);
  });

  test("by keyboard alone", async ({ app }) => {
    await open(app);
    await tabTo(app.page, app.page.getByLabel("Prompt"));
    await app.page.keyboard.type(unique("a quiet harbour"));
    await app.page.keyboard.press("Control+Enter");
    await ready(app);
    await tabTo(app.page, app.page.getByRole("tab", { name: "Picture" }));
    await app.page.keyboard.press("ArrowRight");
    await app.page.keyboard.press("Enter");
    await app.page.getByRole("region", { name: "answer" }).waitFor();
    expect(new URL(app.page.url()).searchParams.get("tab")).toBe("json");
  });
});

describe("a failure (J3)", () => {
  test("says status, code, what to do and what it cost when the content is refused", async ({ app }) => {
    app.watch.expects(422, GENERATE);
    await open(app);
    await generate(app, unique("a lighthouse sim:unsafe"));
    const alert = app.page.getByRole("alert");
    await alert.waitFor();
    expect(await alert.innerText()).toContain("422");
    expect(await alert.innerText()).toContain("rejected_by_safety");
    await app.page.getByText("Change the prompt").first().waitFor();
    await app.page.getByText("May be billed").waitFor();
    await alert.getByRole("button", { name: "Explain this error" }).click();
    await alert.getByText("Meaning").waitFor();
  });

  test("of a wrong key does not end the session, and the key that was typed for one request is kept nowhere", async ({ app }) => {
    app.watch.expects(401, /^\/api\//);
    await open(app);
    await app.page.getByRole("button", { name: "Use another key" }).click();
    await app.page.getByLabel("API key").fill(UNKNOWN_KEY);
    const sent = sentKeys(app);
    await generate(app, unique("a lighthouse"));
    const alert = app.page.getByRole("alert");
    await alert.waitFor();
    expect(await alert.innerText()).toContain("401");
    await app.page.getByText("Nothing was spent.").waitFor();
    expect(await app.page.getByRole("dialog").count()).toBe(0);
    expect(sent.splice(0), "it was sent, so that what follows tells something").toContain(`Bearer ${UNKNOWN_KEY}`);

    const held = await whatIsKept(app);
    expect(Number(held["queries"]), "the cache was found").toBeGreaterThan(2);
    for (const [where, text] of Object.entries(held)) expect(text, where).not.toContain(UNKNOWN_KEY);
    // Another page and back: the field is the session's again, and nothing is sent with the key any more.
    await app.page.getByRole("link", { name: "Instances" }).click();
    await app.page.getByRole("row", { name: "Development" }).waitFor();
    await app.page.goBack();
    await app.page.getByText("Using your session").waitFor();
    for (const [where, text] of Object.entries(await whatIsKept(app))) expect(text, where).not.toContain(UNKNOWN_KEY);
    expect(await app.page.content()).not.toContain(UNKNOWN_KEY);
    sent.length = 0;
    await generate(app, unique("a lighthouse"));
    await ready(app);
    expect(sent.length).toBeGreaterThan(0);
    expect(sent.filter((header) => header !== "")).toEqual([]);
  });

  test("after the time keeps the job, and shows the picture when it comes, also after a reload", async ({ app }) => {
    app.watch.expects(504, GENERATE);
    await open(app);
    await watchAfter5s(app);
    const tag = newTag();
    const prompt = `a slow lighthouse sim:queue=15s sim:once=${tag}`;
    await generate(app, prompt);
    await app.page.getByText("504 provider_timeout").waitFor();
    expect(new URL(app.page.url()).searchParams.get("job")).not.toBeNull();
    await app.page.reload();
    await app.page.getByText("The picture appears here by itself").waitFor();
    const stages = app.page.getByRole("list", { name: "Stages" });
    await stages.getByText("goes on").waitFor({ state: "attached" });
    await stages.getByText("still ahead").waitFor({ state: "attached" });
    expect(await app.page.getByLabel("Prompt").inputValue()).toContain(prompt);
    await ready(app);
    await naturalSize(app);
    expect(await app.page.locator("figure img").getAttribute("alt")).toBe(prompt);
    await app.page.getByRole("tab", { name: "Code" }).click();
    await app.page.getByRole("region", { name: "curl" }).getByText("a slow lighthouse").waitFor();
    expect(await charges(tag)).toBe(1);
  });

  test("without an answer of the provider: says what to do, keeps the job, and does not send it again", async ({ app }) => {
    app.watch.expects(504, GENERATE);
    await open(app);
    await watchAfter5s(app);
    const tag = newTag();
    await generate(app, `a lighthouse sim:timeout sim:once=${tag}`);
    await app.page.getByText(/^504 /).waitFor({ timeout: 40_000 });
    await app.page.getByText("do not send it again").waitFor();
    expect(new URL(app.page.url()).searchParams.get("job")).not.toBeNull();
    expect(await charges(tag)).toBeLessThanOrEqual(1);
  });

  test("of a limit counts down to the retry", async ({ app }) => {
    app.watch.expects(429, GENERATE);
    await open(app);
    await generate(app, unique("a lighthouse sim:429=4"));
    const alert = app.page.getByRole("alert");
    await alert.getByText("rate_limited").waitFor();
    await alert.getByRole("button", { name: /^Retry in \d+ s$/ }).waitFor();
    await app.page.getByText("Nothing was spent.").waitFor();
    const retry = alert.getByRole("button", { name: "Retry", exact: true });
    await retry.waitFor({ timeout: 20_000 });
    await app.page.getByLabel("Prompt").fill(unique("a lighthouse after the pause"));
    await retry.click();
    await ready(app);
  });

  test("of a vendor's limit that has passed: the same request is a new run", async ({ app }) => {
    app.watch.expects(429, GENERATE);
    await open(app);
    const tag = newTag();
    await generate(app, `a patient lighthouse sim:429=4x1 sim:once=${tag}`);
    const retry = app.page.getByRole("alert").getByRole("button", { name: "Retry", exact: true });
    await retry.waitFor({ timeout: 20_000 });
    await retry.click();
    await ready(app);
    expect(await charges(tag)).toBe(1);
  });
});

describe("once (J4)", () => {
  test("a double click is one charge", async ({ app }) => {
    await open(app);
    const tag = newTag();
    const prompt = `a twin lighthouse sim:once=${tag}`;
    await app.page.getByLabel("Prompt").fill(prompt);
    await app.page.getByRole("button", { name: "Generate", exact: true }).dblclick();
    await ready(app);
    expect(await charges(tag)).toBe(1);
  });

  test("a reload in mid-run finds its job", async ({ app }) => {
    app.watch.expects(409, GENERATE);
    await open(app);
    const tag = newTag();
    const prompt = `a lighthouse in fog sim:slow=6s sim:once=${tag}`;
    await generate(app, prompt);
    await app.page.getByRole("heading", { name: "Generating" }).waitFor();
    await expect.poll(() => app.watch.calls.length).toBeGreaterThan(0);
    await app.page.reload();
    await app.page.getByRole("button", { name: "Find the picture" }).click();
    await ready(app);
    expect(await charges(tag)).toBe(1);
  });

  test("an answer that was lost, then “Find the picture”, is one charge", async ({ app }) => {
    app.watch.expectsOutage();
    app.watch.expects(409, GENERATE);
    await open(app);
    const tag = newTag();
    const prompt = `a lighthouse behind a cut cable sim:once=${tag}`;
    let lost = false;
    await app.page.route(GENERATE, async (route) => {
      if (lost) return route.continue();
      lost = true;
      await route.fetch();
      await route.abort("connectionreset");
    });
    await generate(app, prompt);
    await app.page.getByText("network_error").waitFor({ timeout: 30_000 });
    await app.page.getByText("is billed once").waitFor();
    await app.page.getByRole("alert").getByRole("button", { name: "Find the picture" }).click();
    await ready(app);
    expect(await charges(tag)).toBe(1);
  });

  test("“Find the picture” sends what was sent: not the edited form, and not without what it cannot load", async ({ app }) => {
    app.watch.expects(409, GENERATE);
    await open(app);
    await app.page.getByRole("button", { name: "Use another key" }).click();
    await app.page.getByLabel("API key").fill(app.key());
    await app.page.getByLabel("Instance ID").selectOption("production");
    await app.page.getByRole("button", { name: "More options" }).click();
    await app.page.getByLabel("Tags").fill("found");
    const tag = newTag();
    const sent: { instance: string | undefined; once: string | undefined }[] = [];
    app.page.on("request", (request) => {
      const headers = request.headers();
      if (GENERATE.test(request.url())) sent.push({ instance: headers["x-instance-id"], once: headers["idempotency-key"] });
    });
    await generate(app, `a lighthouse that was left sim:slow=6s sim:once=${tag}`);
    await app.page.getByRole("heading", { name: "Generating" }).waitFor();
    await expect.poll(() => sent.length).toBe(1);
    await app.page.route("**/api/image-gen/v1/models", (route) => route.abort());
    app.watch.expectsOutage();
    await app.page.reload();
    await app.page.getByRole("button", { name: "Use another key" }).click();
    await app.page.getByLabel("API key").fill(app.key());
    await app.page.getByLabel("Prompt").fill("another lighthouse");
    await app.page.getByRole("button", { name: "Find the picture" }).click();
    await ready(app);
    expect(sent[0]?.instance).toBe("production");
    // The body too: another one with this key would be 422 instead of 409.
    expect(sent).toEqual([sent[0], sent[0]]);
    expect(await charges(tag)).toBe(1);
  });

  test("Ctrl+Enter in a dialog over the page sends nothing", async ({ app }) => {
    await open(app);
    await app.page.getByLabel("Prompt").fill(unique("a lighthouse behind a sheet"));
    await tabTo(app.page, app.page.getByRole("button", { name: "Theme" }));
    await app.page.keyboard.press("?");
    await app.page.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
    await app.page.keyboard.press("Control+Enter");
    await app.page.keyboard.press("Escape");
    await app.page.getByRole("dialog").waitFor({ state: "detached" });
    expect(app.watch.calls.some((call) => GENERATE.test(call.path))).toBe(false);
  });

  test("“Generate” again after a picture is a new one", async ({ app }) => {
    await open(app);
    const tag = newTag();
    const prompt = `two lighthouses sim:once=${tag}`;
    await generate(app, prompt);
    await ready(app);
    const first = new URL(app.page.url()).searchParams.get("job");
    await app.page.getByRole("button", { name: "Generate", exact: true }).click();
    await app.page.getByRole("heading", { name: "Generating" }).waitFor();
    await ready(app);
    expect(new URL(app.page.url()).searchParams.get("job")).not.toBe(first);
    expect(await charges(tag)).toBe(2);
  });
});
