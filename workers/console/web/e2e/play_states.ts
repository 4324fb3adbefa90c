/** States of the playground that must be seen. */
import type { App } from "./harness";
import { change, makeInstance } from "./harness/made";
import { generate, GENERATE, watchAfter5s } from "./harness/play";
import type { PageState } from "./pages";

const PATH = "/play?instance=development";

/** The picture is drawn, so that nothing moves any more. */
async function drawn(app: App): Promise<void> {
  await app.page.getByRole("heading", { name: "Picture ready" }).waitFor({ timeout: 40_000 });
  // Its width is known before its lower half is there.
  await app.page.locator("figure img").evaluate((image: HTMLImageElement) => image.decode());
}

async function made(app: App): Promise<void> {
  await generate(app, "a lighthouse at dawn, oil on canvas");
  await drawn(app);
}

/** The session has these instances. */
async function withInstances({ page }: App, instances: object[]): Promise<void> {
  await page.route("**/auth/session", async (route) => {
    const answer = await route.fetch();
    const document = (await answer.json()) as { principal: object };
    await route.fulfill({ response: answer, json: { ...document, principal: { ...document.principal, instances } } });
  });
  await page.reload();
}

export const playStates: readonly PageState[] = [
  { name: "play-made", path: PATH, as: "admin", prepare: made },
  {
    name: "play-generating",
    path: PATH,
    as: "admin",
    prepare: async (app) => {
      // No answer comes while it is looked at.
      await app.page.route("**/api/image-gen/generate", () => undefined);
      await generate(app, "a lighthouse at dawn");
      await app.page.getByRole("heading", { name: "Generating" }).waitFor();
    },
  },
  {
    name: "play-fallback",
    path: PATH,
    as: "admin",
    prepare: async (app) => {
      // Its first vendor is down; of its own, because that closes the vendor for all who share the instance.
      const id = await makeInstance("falls-back", { apiKeys: { ideogram: "sim-521-falls", openai: "sim-ok-falls" } });
      await app.open(`/play?instance=${id}`);
      await app.page.getByRole("combobox", { name: "Model" }).selectOption({ label: "Ideogram 3.0" });
      await generate(app, "a lighthouse at dusk");
      await drawn(app);
      await app.page.getByText(/^openai .* drew it instead$/).waitFor();
    },
  },
  {
    name: "play-code",
    path: PATH,
    as: "admin",
    prepare: async (app) => {
      await made(app);
      await app.page.getByRole("tab", { name: "Code" }).click();
      await app.page.getByRole("group", { name: "Language" }).waitFor();
    },
  },
  {
    name: "play-refused",
    path: PATH,
    as: "admin",
    prepare: async (app) => {
      app.watch.expects(422, GENERATE);
      await generate(app, "a lighthouse at dawn sim:unsafe");
      await app.page.getByRole("alert").waitFor();
    },
  },
  {
    name: "play-limited",
    path: PATH,
    as: "admin",
    prepare: async (app) => {
      app.watch.expects(429, GENERATE);
      // An answer of the page's own: the vendor's pause would hold for all that come after.
      const body = {
        error: "rate_limited",
        message: "Every provider that could serve this request is at its limit.",
        hint: "Wait for the time of Retry-After, then send it again.",
        docs: "/docs/errors#rate_limited",
        request_id: "01a21cf0-eab1-7b40-aae7-c3f8b64ebc74",
        retry_after_ms: 600_000,
        details: { source: "provider" },
      };
      await app.page.route("**/api/image-gen/generate", (route) => route.fulfill({ status: 429, headers: { "Retry-After": "600" }, json: body }));
      await generate(app, "a lighthouse at dawn");
      await app.page.getByRole("button", { name: /^Retry in / }).waitFor();
    },
  },
  {
    name: "play-models-error",
    path: PATH,
    as: "admin",
    prepare: async ({ page, watch }) => {
      watch.expects(503, /\/v1\/models/);
      await page.route("**/api/image-gen/v1/models*", (route) =>
        route.fulfill({ status: 503, json: { error: { message: "The configuration does not answer.", code: "config_unavailable", type: "server_error" } } }),
      );
      await page.reload();
      await page.getByText("The models could not be loaded").waitFor();
    },
  },
  {
    name: "play-watching",
    path: PATH,
    as: "admin",
    prepare: async (app) => {
      app.watch.expects(504, GENERATE);
      await watchAfter5s(app);
      await generate(app, "a lighthouse at dawn sim:queue=40s");
      await app.page.getByText("takes longer than a request waits").waitFor();
    },
  },
  {
    name: "play-lost",
    path: PATH,
    as: "admin",
    prepare: async (app) => {
      await app.page.route("**/api/image-gen/generate", (route) => route.fulfill({ status: 200, contentType: "application/json", body: '{"success":true,' }));
      await generate(app, "a lighthouse at dawn");
      await app.page.getByRole("button", { name: "Find the picture" }).waitFor();
    },
  },
  {
    name: "play-no-instance",
    path: "/play",
    as: "admin",
    prepare: async (app) => {
      await withInstances(app, []);
      await app.page.getByRole("link", { name: "Create an instance" }).waitFor();
    },
  },
  {
    name: "play-no-key",
    path: "/play",
    as: "admin",
    prepare: async (app) => {
      await app.open(`/play?instance=${await makeInstance("keyless")}`);
      await app.page.getByRole("link", { name: "Set a provider key" }).waitFor();
    },
  },
  {
    name: "play-moved-host",
    path: "/play",
    as: "admin",
    prepare: async (app) => {
      const id = await makeInstance("moved", { apiKeys: { openai: "sim-ok-moved" } });
      // A server of the private network would be asked without a key.
      await change(`/instance/${id}`, { config: { providers: { openai: { base_url: "https://elsewhere.example", allow_private_host: false, extra_api_hosts: [], extra_result_hosts: [] } } } });
      await app.open(`/play?instance=${id}`);
      await app.page.getByText("the stored key was entered for another host").waitFor();
    },
  },
  {
    name: "play-prompt-too-long",
    path: PATH,
    as: "admin",
    prepare: async (app) => {
      await app.page.getByRole("combobox", { name: "Model" }).selectOption({ label: "Ideogram 3.0" });
      await generate(app, "a lighthouse ".repeat(800));
      await app.page.getByText("Ideogram 3.0 takes 10,000 characters").waitFor();
    },
  },
  {
    name: "play-wrong-key",
    path: "/play",
    as: "admin",
    prepare: async (app) => {
      app.watch.expects(502, GENERATE);
      await app.open(`/play?instance=${await makeInstance("wrong-key", { apiKeys: { openai: "sim-auth-wrong" } })}`);
      await generate(app, "a lighthouse at dawn");
      await app.page.getByRole("link", { name: "Provider keys" }).waitFor();
    },
  },
  {
    name: "play-paused",
    path: "/play",
    as: "admin",
    prepare: async (app) => {
      await app.open(`/play?instance=${await makeInstance("paused", { apiKeys: { openai: "sim-ok-paused" }, paused: "The bucket is being moved" })}`);
      await app.page.getByText("The bucket is being moved").waitFor();
      await app.page.getByText("Since").waitFor();
    },
  },
  {
    name: "play-paused-user",
    path: "/play",
    as: "user",
    prepare: async (app) => {
      await app.page.route("**/api/config-service/instance/development", async (route) => {
        const response = await route.fetch();
        await route.fulfill({ response, json: { ...((await response.json()) as object), status: "paused", paused_reason: "The bucket is being moved" } });
      });
      await withInstances(app, [{ instance_id: "development", name: "Development", environment: "development", status: "paused" }]);
      await app.page.getByText("Ask an administrator to resume it.").waitFor();
      await app.page.getByText("The bucket is being moved").waitFor();
    },
  },
  {
    name: "play-deploying",
    path: "/play",
    as: "admin",
    prepare: async (app) => {
      await app.open(`/play?instance=${await makeInstance("deploying", { apiKeys: { openai: "sim-ok-deploying" }, status: "deploying" })}`);
      await app.page.getByRole("link", { name: "See its deployments" }).waitFor();
    },
  },
  {
    name: "play-field-errors",
    path: PATH,
    as: "admin",
    prepare: async ({ page }) => {
      await page.getByRole("button", { name: "Use another key" }).click();
      await page.getByLabel("API key").fill("sy_short");
      await page.getByRole("button", { name: "Generate", exact: true }).click();
      await page.getByText("Describe the picture.").waitFor();
      // Nothing is known of the providers yet.
      await page.getByText("No picture yet").waitFor();
    },
  },
];
