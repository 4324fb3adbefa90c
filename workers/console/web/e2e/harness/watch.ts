/** What a page must never do, counted while a test runs: any of it fails the test. */
import type { BrowserContext, Page, Request, Response } from "playwright-core";

/** How far the page moved by itself at one time, and what moved from where to where. */
export interface Shift {
  value: number;
  moved: string[];
}

type LayoutShiftEntry = PerformanceEntry & {
  value: number;
  hadRecentInput: boolean;
  sources: { node: Node | null; previousRect: DOMRectReadOnly; currentRect: DOMRectReadOnly }[];
};

export interface ApiCall {
  method: string;
  /** Path with query. */
  path: string;
  status: number | null;
  requestId: string | null;
}

interface Expected {
  status: number;
  path: RegExp;
}

export class Watch {
  readonly violations: string[] = [];
  readonly consoleLines: string[] = [];
  readonly calls: ApiCall[] = [];
  private readonly expected: Expected[] = [
    // Asked at each start; signed out is no fault.
    { status: 401, path: /^\/auth\/session$/ },
  ];
  private connectionMayFail = false;
  private readonly expectedLines: RegExp[] = [];
  private readonly expectedPolicy: RegExp[] = [];
  private readonly origin: string;

  constructor(origin: string) {
    this.origin = origin;
  }

  /** An answer that this test provokes. Every other status from 400 on is a violation. */
  expects(status: number, path: RegExp): void {
    this.expected.push({ status, path });
  }

  /** A line that the console shows because of what this test provokes. */
  expectsLine(text: RegExp): void {
    this.expectedLines.push(text);
  }

  /** What the page's policy refuses because this test tries it: `policy: script-src-elem refused inline ..`. */
  expectsPolicy(text: RegExp): void {
    this.expectedPolicy.push(text);
  }

  /** This test takes the console away. */
  expectsOutage(): void {
    this.connectionMayFail = true;
  }

  async follow(context: BrowserContext): Promise<void> {
    await context.exposeBinding("__violated", (_, text: string) => {
      if (!this.expectedPolicy.some((one) => one.test(text))) this.violations.push(text);
    });
    await context.addInitScript(() => {
      const shifts = window as unknown as { __shifts: Shift[] };
      shifts.__shifts = [];
      const at = ({ x, y, width, height }: DOMRectReadOnly) => [x, y, width, height].map(Math.round).join(" ");
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries() as LayoutShiftEntry[]) {
          if (entry.hadRecentInput) continue;
          const moved = entry.sources.map(({ node, previousRect, currentRect }) => {
            const shown = node instanceof Element ? node.outerHTML : (node?.textContent ?? "gone");
            return `${at(previousRect)} -> ${at(currentRect)}: ${shown.slice(0, 160)}`;
          });
          shifts.__shifts.push({ value: entry.value, moved });
        }
      }).observe({ type: "layout-shift", buffered: true });
      document.addEventListener("securitypolicyviolation", (event) => {
        const report = (window as unknown as { __violated: (text: string) => void }).__violated;
        report(`policy: ${event.violatedDirective} refused ${event.blockedURI} at ${event.sourceFile}:${event.lineNumber}`);
      });
    });
    context.on("page", (page) => this.followPage(page));
    context.on("request", (request) => this.onRequest(request));
    context.on("response", (response) => void this.onResponse(response));
    context.on("requestfailed", (request) => {
      const path = this.pathOf(request.url());
      const text = request.failure()?.errorText ?? "";
      this.consoleLines.push(`failed: ${request.method()} ${path} ${text}`);
      // An abort is the page's own: it left, or asked for something newer.
      if (this.connectionMayFail || text.includes("ERR_ABORTED")) return;
      this.violations.push(`request failed: ${request.method()} ${path} ${text}`);
    });
  }

  private followPage(page: Page): void {
    page.on("pageerror", (error) => this.violations.push(`uncaught: ${error.stack ?? error.message}`));
    page.on("console", (message) => {
      this.consoleLines.push(`${message.type()}: ${message.text()}`);
      // Statuses are judged by their own rule, with their path.
      const known = message.text().startsWith("Failed to load resource") || this.expectedLines.some((line) => line.test(message.text()));
      if ((message.type() === "error" || message.type() === "warning") && !known) {
        this.violations.push(`console ${message.type()}: ${message.text()}`);
      }
    });
  }

  private onRequest(request: Request): void {
    const url = new URL(request.url());
    if (url.protocol === "data:" || url.protocol === "blob:" || url.origin === this.origin) return;
    this.violations.push(`request to another host: ${request.url()}`);
  }

  private async onResponse(response: Response): Promise<void> {
    const path = this.pathOf(response.url());
    const status = response.status();
    const isApi = path.startsWith("/api/") || path.startsWith("/auth/");
    if (isApi) {
      const headers: Record<string, string> = await response.request().allHeaders().catch(() => ({}));
      this.calls.push({ method: response.request().method(), path, status, requestId: headers["x-request-id"] ?? null });
    }
    if (status < 400) return;
    const known = this.expected.some((one) => one.status === status && one.path.test(path));
    if (!known) this.violations.push(`unexpected ${status}: ${response.request().method()} ${path}`);
  }

  private pathOf(address: string): string {
    return address.startsWith(this.origin) ? address.slice(this.origin.length) : address;
  }
}
