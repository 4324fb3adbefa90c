/** What the tests of the playground do again and again. */
import { type App, expect, stack } from "./index";

export const GENERATE = /\/api\/image-gen\/generate$/;

let counter = 0;
/** A word that the simulator writes beside each charge of the prompt that has it as `sim:once=<tag>`. */
export const newTag = () => `play-${Date.now()}-${(counter += 1)}`;
export const unique = (words: string) => `${words} sim:once=${newTag()}`;

export async function open(app: App): Promise<void> {
  await app.signIn();
  await app.open("/play?instance=development");
}

export async function generate({ page }: App, prompt: string): Promise<void> {
  await page.getByLabel("Prompt").fill(prompt);
  await page.getByRole("button", { name: "Generate", exact: true }).click();
}

/** The page watches the job of a request that takes longer than this. */
export async function watchAfter5s({ page }: App): Promise<void> {
  await page.getByRole("button", { name: "More options" }).click();
  await page.getByLabel("Watch the job after").selectOption("5000");
}

export const ready = ({ page }: App) => page.getByRole("heading", { name: "Picture ready" }).waitFor({ timeout: 40_000 });

/** Width and height of the picture as the browser decoded it. */
export async function naturalSize({ page }: App): Promise<string> {
  const image = page.locator("figure img");
  await expect.poll(() => image.evaluate((drawn: HTMLImageElement) => drawn.complete && drawn.naturalWidth)).toBeGreaterThan(1);
  return image.evaluate((drawn: HTMLImageElement) => `${drawn.naturalWidth}x${drawn.naturalHeight}`);
}

/** What the simulated vendors charged for a tag. */
export async function charges(tag: string): Promise<number> {
  if (stack.simControl === null) throw new Error("this test counts the simulator's charges; start the stack with the simulator");
  const answer = await fetch(`${stack.simControl}/charges`);
  const { items } = (await answer.json()) as { items: { tag: string | null }[] };
  return items.filter((charge) => charge.tag === tag).length;
}

/** The `Authorization` of every API request from now on; empty where the cookie speaks. */
export function sentKeys({ page }: App): string[] {
  const sent: string[] = [];
  page.on("request", (request) => {
    if (/\/(api|auth)\//.test(request.url())) sent.push(request.headers()["authorization"] ?? "");
  });
  return sent;
}

/** Every place where a page can keep a text for later, its cache of answers included; `queries` counts what is in that. */
export async function whatIsKept({ page }: App): Promise<Record<string, string>> {
  return page.evaluate(async () => {
    interface Cache {
      getAll(): { queryKey?: unknown; state: unknown; options: unknown }[];
    }
    interface Fiber {
      child: Fiber | null;
      sibling: Fiber | null;
      memoizedProps: { client?: { getQueryCache?: () => Cache; getMutationCache?: () => Cache } } | null;
    }
    // React hangs its tree on the root element; the cache is a property of the provider near its top.
    const root = document.getElementById("root") ?? document.body;
    const handle = Object.keys(root).find((name) => name.startsWith("__reactContainer"));
    const waiting: (Fiber | null)[] = handle === undefined ? [] : [(root as unknown as Record<string, Fiber>)[handle] ?? null];
    let client: { getQueryCache?: () => Cache; getMutationCache?: () => Cache } | undefined;
    for (let fiber = waiting.pop(); fiber !== undefined && client === undefined; fiber = waiting.pop()) {
      if (fiber === null) continue;
      if (fiber.memoizedProps?.client?.getQueryCache !== undefined) client = fiber.memoizedProps.client;
      waiting.push(fiber.sibling, fiber.child);
    }
    const queries = client?.getQueryCache?.().getAll() ?? [];
    const writes = client?.getMutationCache?.().getAll() ?? [];
    const plain = (_: string, value: unknown) => (value instanceof Error ? [value.message, Object.entries(value)] : value);
    return {
      address: location.href,
      state: JSON.stringify(history.state),
      cookie: document.cookie,
      local: JSON.stringify(Object.entries(localStorage)),
      session: JSON.stringify(Object.entries(sessionStorage)),
      databases: JSON.stringify(await indexedDB.databases()),
      files: JSON.stringify(await caches.keys()),
      queries: String(queries.length),
      answers: JSON.stringify(queries.map(({ queryKey, state }) => [queryKey, state]), plain),
      writes: JSON.stringify(writes.map(({ state }) => state), plain),
    };
  });
}
