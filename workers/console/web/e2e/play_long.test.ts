/** Runs whose answer does not come while the page looks: another page meanwhile, an answer cut in two, a watched job. */
import { describe } from "vitest";
import { type App, expect, test } from "./harness";
import { charges, generate, GENERATE, naturalSize, newTag, open, ready, watchAfter5s } from "./harness/play";

const room = ({ page }: App, name: string) => page.getByRole("navigation", { name: "Main" }).getByRole("link", { name });

describe("a run goes on while another page is shown", () => {
  test("its answer leaves that page and what is typed there alone, and the way back finds the picture", async ({ app }) => {
    const { page } = app;
    await open(app);
    const tag = newTag();
    await generate(app, `a lighthouse from afar sim:slow=8s sim:once=${tag}`);
    await page.getByRole("heading", { name: "Generating" }).waitFor();
    const answered = page.waitForResponse((response) => GENERATE.test(response.url()));
    await room(app, "Users").click();
    await page.getByRole("button", { name: "Create user" }).first().click();
    const form = page.getByRole("dialog", { name: "Create user" });
    await form.getByLabel("Email").fill("half-typed@acme.example");
    await answered;
    await page.getByText("It waits in the playground.", { exact: true }).waitFor();
    expect(new URL(page.url()).pathname).toBe("/admin/users");
    expect(await form.getByLabel("Email").inputValue()).toBe("half-typed@acme.example");

    // With text in it only its buttons close it.
    await page.keyboard.press("Escape");
    await form.getByRole("button", { name: "Cancel" }).click();
    await form.waitFor({ state: "detached" });
    await page.goBack();
    await ready(app);
    await naturalSize(app);
    expect(await page.getByLabel("Prompt").inputValue()).toContain(tag);
    expect(await charges(tag)).toBe(1);

    // Found again after a reload too: the entry of the history knows the job.
    await page.reload();
    await ready(app);
    expect(await page.locator("figure img").getAttribute("alt")).toContain(tag);
  });

  test("and is still running for who comes back before the answer, by a link", async ({ app }) => {
    await open(app);
    const tag = newTag();
    await generate(app, `a lighthouse in between sim:slow=6s sim:once=${tag}`);
    await app.page.getByRole("heading", { name: "Generating" }).waitFor();
    await room(app, "Keys").click();
    await app.page.getByRole("heading", { name: "Keys", level: 1 }).waitFor();
    await room(app, "Playground").click();
    await app.page.getByRole("heading", { name: "Generating" }).waitFor();
    await ready(app);
    expect(await charges(tag)).toBe(1);
  });
});

/** The answer's headers come, and half of its body. */
async function cutTheAnswer({ page }: App, without?: string): Promise<void> {
  await page.evaluate((header) => {
    const real = window.fetch.bind(window);
    window.fetch = async (...call) => {
      const answer = await real(...call);
      if (!answer.url.endsWith("/api/image-gen/generate")) return answer;
      window.fetch = real;
      const whole = await answer.text();
      const half = new ReadableStream<Uint8Array>({
        start: (out) => out.enqueue(new TextEncoder().encode(whole.slice(0, whole.length / 2))),
        pull: (out) => out.error(new TypeError("network error")),
      });
      const headers = new Headers(answer.headers);
      if (header !== undefined) headers.delete(header);
      return new Response(half, { status: answer.status, headers });
    };
  }, without);
}

describe("an answer whose body breaks off", () => {
  test("and that names its job: the page watches it, and shows the picture", async ({ app }) => {
    await open(app);
    await cutTheAnswer(app);
    const tag = newTag();
    await generate(app, `a lighthouse in two halves sim:once=${tag}`);
    await ready(app);
    await naturalSize(app);
    expect(await charges(tag)).toBe(1);
  });

  test("and that names none: says that it may be billed, and finds the picture without paying twice", async ({ app }) => {
    await open(app);
    await cutTheAnswer(app, "x-switchyard-job-id");
    const tag = newTag();
    await generate(app, `half a lighthouse sim:once=${tag}`);
    await app.page.getByText("The answer broke off on its way.").waitFor();
    await app.page.getByText("May be billed").waitFor();
    expect(await app.page.getByText("Nothing was spent").count()).toBe(0);
    app.watch.expects(409, GENERATE);
    await app.page.getByRole("alert").getByRole("button", { name: "Find the picture" }).click();
    await ready(app);
    expect(await charges(tag)).toBe(1);
  });
});

/** What the polite live region says, from now on. */
async function listen({ page }: App): Promise<() => Promise<string[]>> {
  await page.evaluate(() => {
    const said: string[] = [];
    (window as unknown as { __said: string[] }).__said = said;
    const region = document.querySelector('[role="status"][aria-live="polite"]');
    if (region === null) throw new Error("the page has no live region");
    new MutationObserver(() => said.push(region.textContent.trim())).observe(region, { childList: true, characterData: true, subtree: true });
  });
  return () => page.evaluate(() => (window as unknown as { __said: string[] }).__said);
}

describe("a watched job is heard", () => {
  test("at its stages and when its picture comes, and looks like progress", async ({ app }) => {
    app.watch.expects(504, GENERATE);
    await open(app);
    await watchAfter5s(app);
    const said = await listen(app);
    await generate(app, `a lighthouse for the ear sim:queue=10s sim:once=${newTag()}`);
    await app.page.getByText("takes longer than a request waits").waitFor();
    expect(await app.page.getByRole("alert").count()).toBe(0);
    expect(await app.page.getByRole("heading", { name: "504" }).count()).toBe(0);
    await ready(app);
    expect(await said()).toEqual(["Generating", "The picture takes longer", expect.stringMatching(/drawing|queue|Running|Sending/), "The picture is ready"]);
  });

  test("when it fails", async ({ app }) => {
    app.watch.expects(504, GENERATE);
    await open(app);
    await watchAfter5s(app);
    const said = await listen(app);
    let over = false;
    await app.page.route("**/api/image-gen/jobs/*", async (route) => {
      const answer = await route.fetch();
      const job = (await answer.json()) as Record<string, unknown>;
      if (over) Object.assign(job, { state: "failed", stage: null, result: null, error: { code: "provider_error", message: "The provider lost it." } });
      over = true;
      await route.fulfill({ response: answer, json: job });
    });
    await generate(app, `a lighthouse that is lost sim:queue=14s sim:once=${newTag()}`);
    await app.page.getByRole("alert").getByText("The provider lost it.").waitFor({ timeout: 40_000 });
    expect(await said()).toContain("No picture: The provider lost it.");
  });
});
