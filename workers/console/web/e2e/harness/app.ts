/** One browser with the application in it, and what tests do with it. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import type { Page } from "playwright-core";
import { expect } from "vitest";
import { misplaced, MOST_OF_ONE, shareOfOneColour, unreachable } from "./looks";
import { SCREENS } from "./report";
import type { StackFacts } from "./stack";
import type { Shift, Watch } from "./watch";

export type Theme = "light" | "dark";
export const THEMES: readonly Theme[] = ["light", "dark"];

const AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
/** The only rules of axe that look at colours. */
const AXE_COLOURS = ["color-contrast", "link-in-text-block"];
const axeSource = readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

interface AxeViolation {
  id: string;
  impact: string | null;
  help: string;
  nodes: { html: string; failureSummary?: string }[];
}

export class App {
  readonly page: Page;
  readonly watch: Watch;
  readonly stack: StackFacts;

  constructor(page: Page, watch: Watch, stack: StackFacts) {
    this.page = page;
    this.watch = watch;
    this.stack = stack;
  }

  key(holder = "admin"): string {
    const key = this.stack.keys[holder];
    if (key === undefined) throw new Error(`the stack has no key of "${holder}"; start it with --seed-tests`);
    return key;
  }

  /** Signs in by the exchange itself, without the form: the cookie is what later pages need. */
  async signIn(holder = "admin"): Promise<void> {
    const answer = await this.page.request.post("/auth/session", {
      headers: { "X-Switchyard-Console": "1", Origin: this.stack.baseUrl },
      data: { api_key: this.key(holder) },
    });
    if (answer.status() !== 200) throw new Error(`sign-in of ${holder}: ${answer.status()} ${await answer.text()}`);
  }

  /** Goes to a path and waits until the page has its heading and asks for nothing more. */
  async open(path: string): Promise<void> {
    await this.page.goto(path);
    await this.settled();
  }

  async settled(): Promise<void> {
    await this.page.locator("main h1").first().waitFor({ state: "attached" });
    await this.page.waitForLoadState("networkidle");
    await this.page.locator('[aria-busy="true"]').first().waitFor({ state: "detached" });
    await this.page.evaluate(() => document.fonts.ready);
  }

  async theme(theme: Theme): Promise<void> {
    await this.page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
  }

  /** No violation of WCAG 2.2 A and AA, in both themes unless said; of the rules all, or those that a theme can break. */
  async axe(themes: readonly Theme[] = THEMES, rules: "all" | "of colours" = "all"): Promise<void> {
    const runOnly = rules === "all" ? { type: "tag", values: AXE_TAGS } : { type: "rule", values: AXE_COLOURS };
    for (const theme of themes) {
      await this.theme(theme);
      if (!(await this.page.evaluate(() => "axe" in window))) await this.page.evaluate(await axeSource);
      const found = await this.page.evaluate(async (options) => {
        const { axe } = window as unknown as {
          axe: { run: (context: Document, options: object) => Promise<{ violations: AxeViolation[] }> };
        };
        const result = await axe.run(document, { runOnly: options });
        return result.violations;
      }, runOnly);
      const told = found.flatMap((one) => one.nodes.map((node) => `${one.id}: ${one.help}\n  ${node.html}\n  ${node.failureSummary ?? ""}`));
      expect(told, `axe, ${theme}`).toEqual([]);
    }
  }

  /** The page has moved by itself no further than `most` since it was loaded: cumulative layout shift. */
  async staysPut(most: number): Promise<void> {
    const shifts = await this.page.evaluate(() => (window as unknown as { __shifts: Shift[] }).__shifts);
    const sum = shifts.reduce((total, shift) => total + shift.value, 0);
    const told = shifts.map((shift) => `${shift.value.toFixed(3)}\n  ${shift.moved.join("\n  ")}`).join("\n");
    expect(sum, `layout shift while it loads:\n${told}`).toBeLessThanOrEqual(most);
  }

  /** Nothing is wider than the window, cut off, over an edge or on top of another thing, and the page has drawn something; its picture is kept under a name. */
  async fits(picture?: string): Promise<void> {
    const at = `at ${this.page.viewportSize()?.width ?? 0} px`;
    expect(await misplaced(this.page), at).toEqual([]);
    expect(await shareOfOneColour(this.page, picture === undefined ? undefined : `${SCREENS}${picture}.png`), `of one colour ${at}`).toBeLessThanOrEqual(MOST_OF_ONE);
  }

  /** The open dialog fits the window, and all that can be pressed in it can be scrolled to. */
  async dialogFits(): Promise<void> {
    const at = `at ${this.page.viewportSize()?.width ?? 0} px`;
    expect(await misplaced(this.page), at).toEqual([]);
    expect(await unreachable(this.page), at).toEqual([]);
  }

  /** API calls since the last time, as `GET /api/..` without the query. */
  takeCalls(): string[] {
    return this.watch.calls.splice(0).map((call) => `${call.method} ${call.path.split("?")[0] ?? ""}`);
  }

  /** The element with the focus, as a person would name it. */
  async focused(): Promise<string> {
    return this.page.evaluate(() => {
      const at = document.activeElement;
      if (at === null || at === document.body) return "";
      const label = at.getAttribute("aria-label") ?? (at as HTMLInputElement).labels?.[0]?.textContent ?? at.textContent;
      return `${at.tagName.toLowerCase()} ${label.trim()}`;
    });
  }
}
