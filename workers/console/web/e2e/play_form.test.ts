/** The form of the playground: where the focus goes when something is wrong, by keyboard alone, in a narrow window, without motion. */
import { describe } from "vitest";
import { type App, closeApp, expect, openApp, test } from "./harness";
import { keyboard } from "./harness/hands";
import { generate, GENERATE, naturalSize, open, ready, unique } from "./harness/play";

const more = ({ page }: App) => page.getByRole("button", { name: "More options" });

/** The next request is refused so. */
async function refusing({ page, watch }: App, status: number, error: string, details: object): Promise<void> {
  watch.expects(status, GENERATE);
  const body = { error, message: "It was refused.", hint: "Correct it.", docs: `/docs/errors#${error}`, request_id: "01a21cf0-eab1-7b40-aae7-c3f8b64ebc74", details };
  await page.route("**/api/image-gen/generate", (route) => route.fulfill({ status, json: body }));
}

describe("what is wrong is shown, and has the focus", () => {
  test("behind “More options”, which opens", async ({ app }) => {
    await open(app);
    await more(app).click();
    await app.page.getByLabel("Maximum cost").fill("cheap");
    await more(app).click();
    await app.page.getByLabel("Maximum cost").waitFor({ state: "detached" });
    await generate(app, "a lighthouse");
    await app.page.getByText("Enter dollars, like 0.05.").waitFor();
    await expect.poll(() => app.focused()).toBe("input Maximum cost");
    expect(app.watch.calls.some((call) => GENERATE.test(call.path))).toBe(false);
  });

  test("behind “More options”, when the server says so", async ({ app }) => {
    await open(app);
    await refusing(app, 400, "invalid_field", { field: "tags", rule: "holds a word that is not allowed" });
    await generate(app, "a lighthouse");
    await app.page.getByText("holds a word that is not allowed").waitFor();
    expect(await more(app).getAttribute("aria-expanded")).toBe("true");
    await expect.poll(() => app.focused()).toBe("input Tags");
  });

  test("of no field: the failure itself", async ({ app }) => {
    await open(app);
    await refusing(app, 422, "rejected_by_safety", {});
    await generate(app, "a lighthouse");
    await app.page.getByRole("alert").waitFor();
    await expect.poll(() => app.focused()).toBe("div Result");
  });

  test("but not taken from somebody who typed on meanwhile", async ({ app }) => {
    await open(app);
    app.watch.expects(422, GENERATE);
    let answer = () => {};
    const typed = new Promise<void>((resolve) => (answer = resolve));
    await app.page.route("**/api/image-gen/generate", async (route) => {
      await typed;
      await route.fulfill({ status: 422, json: { error: "rejected_by_safety", message: "It was refused.", hint: "", request_id: "r" } });
    });
    await generate(app, "a lighthouse");
    await app.page.getByLabel("Prompt").fill("a lighthouse, and a second thought");
    answer();
    await app.page.getByRole("alert").waitFor();
    expect(await app.focused()).toContain("Prompt");
  });
});

test.for([1440, 360])("failures and their cures by keyboard alone, at %i px", async (width, { app }) => {
  const { page, watch } = app;
  watch.expects(429, GENERATE);
  watch.expects(422, GENERATE);
  await page.setViewportSize({ width, height: 800 });
  const hands = keyboard(page);
  const prompt = page.getByLabel("Prompt");
  const alert = page.getByRole("alert");
  const failed = async (code: string) => {
    await alert.getByText(code).waitFor();
    await expect.poll(() => app.focused()).toBe("div Result");
    // It is seen where it is told: on a narrow page below the form.
    await expect.poll(() => alert.evaluate((shown) => shown.getBoundingClientRect().top)).toBeLessThan(800);
    await app.fits();
  };
  await open(app);
  await hands.press(page.getByRole("button", { name: "Generate", exact: true }));
  await page.getByText("Describe the picture.").waitFor();
  await expect.poll(() => app.focused()).toContain("Prompt");
  await hands.write(prompt, unique("a lighthouse sim:unsafe"));
  await page.keyboard.press("Control+Enter");
  await failed("rejected_by_safety");
  await hands.press(alert.getByRole("button", { name: "Explain this error" }));
  await alert.getByText("Meaning").waitFor();
  await hands.write(prompt, unique("a lighthouse sim:429=2"));
  await hands.press(page.getByRole("button", { name: "Generate", exact: true }));
  await failed("rate_limited");
  const retry = alert.getByRole("button", { name: "Retry", exact: true });
  await retry.waitFor({ timeout: 20_000 });
  await hands.write(prompt, unique("a lighthouse after the pause"));
  await hands.press(retry);
  await ready(app);
});

test("a prompt is counted against what the chosen model takes, and refused in the page with the reason", async ({ app }) => {
  const { page } = app;
  await open(app);
  await page.getByText("0 of 32,000").waitFor();
  await page.getByRole("combobox", { name: "Model" }).selectOption({ label: "Ideogram 3.0" });
  await page.getByText("0 of 10,000").waitFor();
  await generate(app, "x".repeat(10_001));
  await page.getByText("Ideogram 3.0 takes 10,000 characters, and it has 10,001").waitFor();
  await expect.poll(() => app.focused()).toContain("Prompt");
  expect(app.watch.calls.some((call) => GENERATE.test(call.path))).toBe(false);
});

test("a picture in a window of 360 px", async () => {
  const app = await openApp({ viewport: { width: 360, height: 800 } });
  let failed = true;
  try {
    await open(app);
    await generate(app, unique("a narrow lighthouse"));
    await ready(app);
    await naturalSize(app);
    // The result is below the form: the page went there.
    const top = await app.page.getByRole("heading", { name: "Picture ready" }).evaluate((heading) => heading.getBoundingClientRect().top);
    expect(top).toBeGreaterThanOrEqual(0);
    expect(top).toBeLessThan(800);
    await app.fits();
    await app.page.getByRole("tab", { name: "Code" }).click();
    await app.page.getByRole("group", { name: "Language" }).waitFor();
    await app.fits();
    failed = false;
  } finally {
    await closeApp(app, "a picture at 360 px", failed);
  }
});

test("nothing moves for who asked for less motion", async ({ app }) => {
  await app.page.emulateMedia({ reducedMotion: "reduce" });
  await open(app);
  await generate(app, unique("a lighthouse that stands still sim:slow=4s"));
  await app.page.getByRole("heading", { name: "Generating" }).waitFor();
  const moving = await app.page.evaluate(() => {
    const longest = (list: string) => Math.max(...list.split(",").map((time) => parseFloat(time) * (time.trim().endsWith("ms") ? 1 : 1_000)));
    return [...document.querySelectorAll("*")].flatMap((element) =>
      ["", "::before", "::after"].flatMap((part) => {
        const style = getComputedStyle(element, part === "" ? null : part);
        const animated = style.animationName !== "none" && (longest(style.animationDuration) > 1 || style.animationIterationCount.includes("infinite"));
        const changing = style.transitionProperty !== "none" && longest(style.transitionDuration) > 1;
        return animated || changing ? [`${element.tagName}${part} ${element.getAttribute("class") ?? ""}`] : [];
      }),
    );
  });
  expect(moving).toEqual([]);
  await ready(app);
});
