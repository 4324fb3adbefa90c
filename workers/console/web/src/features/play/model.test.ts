import { describe, expect, it } from "vitest";
import { ApiError } from "../../api/errors";
import {
  adviceOf,
  basisOf,
  behindMore,
  bodyOf,
  choices,
  emptyForm,
  eventOf,
  failureOf,
  FAULTS,
  faultsOf,
  fellBack,
  type GenerateRequest,
  type GenerateResponse,
  type Job,
  isOver,
  jobBehind,
  labelsOf,
  movedHosts,
  newsOf,
  onceFor,
  PROMPT_MAX,
  promptLimitOf,
  skippedOf,
  stageOf,
  unreadNumbers,
  usedOf,
  withFault,
} from "./model";
import { modelsOf, optionsOf } from "./options";

function refused(code: string, more: { status?: number; details?: unknown; retryAfterMs?: number } = {}): ApiError {
  const { status = 502, ...rest } = more;
  return new ApiError({ status, code, message: "m", hint: "h", requestId: "r", ...rest });
}

const result: GenerateResponse = {
  success: true,
  image_url: "https://cdn.example/a.png?sig=1",
  r2_path: "production/shared/a.png",
  metadata: { provider: "ideogram", model: "ideogram-3", dimensions: "1024x1024", generation_time_ms: 4100, format: "png", seed: 7 },
  request_id: "r",
  job_id: "j",
  cost_usd_micros: 30_000,
  cost_basis: "table",
  attempts: 1,
  withheld: 0,
  images: [],
  effective: { size: "1024x1024", quality: "medium", prompt: "hidden" } as Record<string, unknown> as GenerateResponse["effective"],
  warnings: [{ code: "adjusted", option: "size", from: "1000x1000", to: "1024x1024" }, { code: "simulated" }],
};

const job: Job = {
  job_id: "j",
  state: "running",
  stage: "polling",
  version: 3,
  instance_id: "production",
  provider: "ideogram",
  model: "ideogram-3",
  attempts: 1,
  created_at: "2026-11-27T10:00:00.000Z",
  updated_at: "2026-11-27T10:00:01.000Z",
  result: null,
  error: null,
  timeline: [],
};

describe("the form", () => {
  it("names what is wrong before anything is sent", () => {
    const any = promptLimitOf([], undefined);
    expect(faultsOf(emptyForm, any)).toEqual({ prompt: "Describe the picture." });
    expect(faultsOf({ ...emptyForm, prompt: "a cat" }, any)).toEqual({});
    expect(faultsOf({ ...emptyForm, prompt: "x".repeat(PROMPT_MAX + 1) }, any).prompt).toContain("32,000");
    const bad = faultsOf({ ...emptyForm, prompt: "a", maxCost: "cheap", tags: "a,b,c,d,e,f,g,h,i,j,k" }, any);
    expect(bad.max_cost_usd_micros).toContain("0.05");
    expect(bad.tags).toContain("11");
    expect(faultsOf({ ...emptyForm, prompt: "a", tags: "x".repeat(41) }, any).tags).toContain("40");
  });

  it("counts the prompt against what the model takes, as the platform counts", () => {
    const [short, long] = modelsOf([
      { id: "a/short", switchyard: { label: "Short", max_prompt_chars: 10 } },
      { id: "a/long", switchyard: { label: "Long", max_prompt_chars: null } },
    ]);
    if (short === undefined || long === undefined) throw new Error("two models");
    const fault = (prompt: string, chosen: typeof short | undefined, all = [short, long]) => faultsOf({ ...emptyForm, prompt }, promptLimitOf(all, chosen)).prompt;
    expect(fault("x".repeat(11), short)).toBe("Shorten the prompt or choose another model: Short takes 10 characters, and it has 11.");
    expect(fault("x".repeat(11), long)).toBeUndefined();
    // While the platform chooses, a model that takes less is passed over.
    expect(fault("x".repeat(11), undefined)).toBeUndefined();
    expect(fault("x".repeat(11), undefined, [short])).toContain("no model here takes more than 10 characters");
    expect(fault("🌊".repeat(10), short)).toBeUndefined();
  });

  it("does not take a number that cannot be read for one that was left out", () => {
    const options = optionsOf({ properties: { n: { type: "integer" }, seed: { type: "integer" } } });
    const typed = { ...emptyForm, prompt: "a cat", options: { n: 2, seed: Number.NaN } };
    expect(unreadNumbers(bodyOf(typed, options))).toEqual(["seed"]);
    expect(unreadNumbers(bodyOf(typed, []))).toEqual([]);
  });

  it("sends the prompt and what was chosen, and nothing else", () => {
    expect(bodyOf({ ...emptyForm, prompt: "a cat" }, [])).toEqual({ prompt: "a cat" });
    const options = optionsOf({ properties: { n: { type: "integer" }, style: { type: "string", enum: ["flat"] } } });
    const form = {
      ...emptyForm,
      prompt: "a cat",
      model: "openai/images/gpt-image-2",
      options: { n: 2, style: "gone", seed: 4 },
      optimize: "cost" as const,
      fallback: "none" as const,
      maxCost: "0.05",
      tags: " hero, ,spring ",
      project: " p-1 ",
      waitMs: "5000",
    };
    expect(bodyOf(form, options)).toEqual({
      prompt: "a cat",
      provider: "openai",
      model: "images/gpt-image-2",
      n: 2,
      optimize: "cost",
      fallback: "none",
      max_cost_usd_micros: 50_000,
      tags: ["hero", "spring"],
      project_id: "p-1",
      timeout_ms: 5_000,
    });
  });
});

describe("once", () => {
  it("keeps its key while the content is equal", () => {
    let made = 0;
    const newKey = () => `key-${(made += 1)}`;
    const first = onceFor(null, { prompt: "a" }, newKey);
    expect(onceFor(first, { prompt: "a" }, newKey)).toBe(first);
    expect(onceFor(first, { prompt: "b" }, newKey).key).toBe("key-2");
    expect(onceFor(null, { prompt: "a" }, newKey).key).toBe("key-3");
  });
});

it("a key that was entered for another host is known by its provider", () => {
  const providers = { ideogram: { credential_state: "host_changed" }, openai: { credential_state: "set" } };
  expect(movedHosts({ providers })).toEqual(["ideogram"]);
  expect(movedHosts(undefined)).toEqual([]);
});

it("a field behind “More options” is known by the member that it fills", () => {
  const options = optionsOf({ properties: { n: { type: "integer" }, seed: { type: "integer", "x-advanced": true } } });
  expect(behindMore(options)).toContain("seed");
  expect(behindMore(options)).toContain("max_cost_usd_micros");
  expect(behindMore(options)).not.toContain("n");
  expect(behindMore(options)).not.toContain("prompt");
});

it("a watched job has news when its stage changes, when its picture is there, and when it fails", () => {
  expect(newsOf(job)).toBe("The provider is drawing");
  expect(newsOf({ ...job, attempts: 2, version: 4 })).toBe(newsOf(job));
  expect(newsOf({ ...job, stage: "storing" })).toBe("Storing the picture");
  expect(newsOf({ ...job, state: "succeeded", stage: null, result })).toBe("The picture is ready");
  expect(newsOf({ ...job, state: "failed", error: { code: "provider_error", message: "It failed." } })).toBe("No picture: It failed.");
});

describe("a failure", () => {
  it("names the job that goes on, and only one that does", () => {
    const details = { job_id: "j" };
    for (const code of ["provider_timeout", "outcome_unknown", "storage_error", "idempotency_in_flight", "unreadable_answer"]) {
      expect(jobBehind(refused(code, { details }))).toBe("j");
    }
    expect(jobBehind(refused("provider_error", { details }))).toBeNull();
    expect(jobBehind(refused("provider_timeout"))).toBeNull();
  });

  it("says what to do, and whose limit it was", () => {
    expect(adviceOf(refused("rate_limited", { details: { source: "provider" } }))).toContain("The provider asked");
    expect(adviceOf(refused("rate_limited", { details: { source: "own" } }))).toContain("instance's own limit");
    expect(adviceOf(refused("rejected_by_safety"))).toContain("Change the prompt");
    expect(adviceOf(refused("auth_failed"))).toContain("Check the key");
    expect(adviceOf(refused("provider_error"))).toBeNull();
  });

  it("lists why providers were passed over", () => {
    const details = { skipped: [{ provider: "openai", model: "gpt-image-2", reason: "no_credentials" }, { provider: "ideogram", reason: "price" }, 3] };
    expect(skippedOf(refused("no_route", { details }))).toEqual([
      { name: "openai/gpt-image-2", reason: "no credentials" },
      { name: "ideogram", reason: "price" },
    ]);
    expect(skippedOf(refused("no_route"))).toEqual([]);
  });
});

describe("a job", () => {
  it("says in words what it does", () => {
    expect(stageOf(job)).toBe("The provider is drawing");
    expect(stageOf({ state: "queued" })).toBe("Waiting in the queue");
    expect(stageOf({ state: "unknown", stage: "polling" })).toBe("The outcome is not known yet");
    expect(stageOf({ state: "running", stage: null })).toBe("Running");
    expect([eventOf("handoff"), eventOf("succeeded")]).toEqual(["Handed to the background", "Succeeded"]);
  });

  it("is over, or is watched on", () => {
    const over = (["queued", "running", "unknown", "succeeded", "failed", "cancelled", "dead"] as const).filter((state) => isOver({ state }));
    expect(over).toEqual(["succeeded", "failed", "cancelled", "dead"]);
  });

  it("ends with the error that its request would have had", () => {
    expect(failureOf(job)).toBeNull();
    expect(failureOf({ ...job, state: "cancelled" })?.code).toBe("cancelled");
    const failed = failureOf({ ...job, state: "failed", error: { code: "provider_error", message: "It broke.", details: { kind: "server" } } });
    expect([failed?.code, failed?.message, failed?.details["kind"]]).toEqual(["provider_error", "It broke.", "server"]);
  });
});

describe("a result", () => {
  const asked: GenerateRequest = { prompt: "a", provider: "ideogram", model: "ideogram-3", size: "1000x1000" } as GenerateRequest;

  it("sets what was asked beside what was used", () => {
    expect(usedOf(result, asked)).toEqual([
      { option: "size", asked: "1000x1000", used: "1024x1024", note: "Adjusted" },
      { option: "quality", asked: "", used: "medium", note: "" },
    ]);
    expect(usedOf(result, null)[0]?.asked).toBe("1000x1000");
  });

  it("knows a fallback", () => {
    expect(fellBack(result, asked)).toBe(false);
    expect(fellBack(result, { ...asked, model: "gpt-image-2", provider: "openai" })).toBe(true);
    expect(fellBack(result, { prompt: "a" } as GenerateRequest)).toBe(false);
    expect(basisOf(result)).toBe("from the price table");
  });
});

describe("the faults of the simulator", () => {
  it("replace each other and leave the prompt", () => {
    expect(withFault("a cat", "sim:429=14")).toBe("a cat sim:429=14");
    expect(withFault("a cat sim:429=14", "sim:unsafe")).toBe("a cat sim:unsafe");
    expect(withFault("a cat sim:500x2", null)).toBe("a cat");
    expect(withFault("", "sim:timeout")).toBe("a lighthouse at dawn sim:timeout");
    expect(new Set(FAULTS.map(({ token }) => token)).size).toBe(FAULTS.length);
  });
});

it("groups the models by provider", () => {
  const models = modelsOf([
    { id: "openai/b", switchyard: { label: "B", available: false } },
    { id: "ideogram/a", switchyard: { options: { properties: { n: { type: "integer", "x-label": "Images" } } } } },
  ]);
  expect(labelsOf(models)).toEqual({ n: "Images" });
  expect(choices(models)).toEqual([
    { group: "openai", options: [{ value: "openai/b", label: "B (failing now)" }] },
    { group: "ideogram", options: [{ value: "ideogram/a", label: "a" }] },
  ]);
});
