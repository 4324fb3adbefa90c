/** The playground without a page: form -> request, failure -> what it cost, job -> what to show. */
import { ApiError } from "../../api/errors";
import type { components } from "../../api/generated/image-gen";
import { count } from "../../format/bytes";
import { parseMoney } from "../../format/money";
import { type Model, type ModelOption, type OptionValues, split } from "./options";

export type GenerateRequest = components["schemas"]["GenerateRequest"];
export type GenerateResponse = components["schemas"]["GenerateResponse"];
export type Job = components["schemas"]["Job"];

/** `maxLength` of the prompt in the API description. */
export const PROMPT_MAX = 32_000;

export interface PlayForm {
  prompt: string;
  /** `provider/model`; empty: the platform chooses. */
  model: string;
  options: OptionValues;
  optimize: "" | "cost" | "speed" | "quality" | "balanced";
  fallback: "" | "auto" | "none";
  /** Dollars as typed. */
  maxCost: string;
  /** Commas between. */
  tags: string;
  project: string;
  /** How long the request waits for the picture before the page watches the job; empty: as long as the page does by itself. */
  waitMs: string;
}

export const emptyForm: PlayForm = {
  prompt: "",
  model: "",
  options: {},
  optimize: "",
  fallback: "",
  maxCost: "",
  tags: "",
  project: "",
  waitMs: "",
};

export interface PromptLimit {
  /** Characters. */
  most: number;
  /** The chosen model; `undefined` while the platform chooses. */
  model: string | undefined;
}

/** The longest prompt that can be served: of the chosen model, else of the one that takes most, because the others are passed over. */
export function promptLimitOf(models: readonly Model[], chosen: Model | undefined): PromptLimit {
  if (chosen !== undefined) return { most: Math.min(chosen.promptMax ?? PROMPT_MAX, PROMPT_MAX), model: chosen.label };
  const limits = models.map((model) => Math.min(model.promptMax ?? PROMPT_MAX, PROMPT_MAX));
  return { most: limits.length === 0 ? PROMPT_MAX : Math.max(...limits), model: undefined };
}

/** Characters as the platform counts them: an emoji is one, not two. */
export function promptLength(prompt: string): number {
  return Array.from(prompt).length;
}

function tooLong(length: number, { most, model }: PromptLimit): string {
  const [limit, is] = [count(most), count(length)];
  return model === undefined
    ? `Shorten the prompt: no model here takes more than ${limit} characters, and it has ${is}.`
    : `Shorten the prompt or choose another model: ${model} takes ${limit} characters, and it has ${is}.`;
}

/** What is wrong before anything is sent, by member of the request. */
export function faultsOf(form: PlayForm, limit: PromptLimit): Partial<Record<"prompt" | "max_cost_usd_micros" | "tags", string>> {
  const found: ReturnType<typeof faultsOf> = {};
  const length = promptLength(form.prompt);
  if (form.prompt.trim() === "") found.prompt = "Describe the picture.";
  else if (length > limit.most) found.prompt = tooLong(length, limit);
  if (form.maxCost.trim() !== "" && parseMoney(form.maxCost) === null) found.max_cost_usd_micros = "Enter dollars, like 0.05.";
  const tags = tagsOf(form.tags);
  if (tags.length > 10) found.tags = `At most 10 tags; these are ${tags.length}.`;
  else if (tags.some((tag) => tag.length > 40)) found.tags = "A tag has at most 40 characters.";
  return found;
}

/** Numbers of the request that cannot be read as they are typed: sent, they would be left out without a word. */
export function unreadNumbers(body: GenerateRequest): string[] {
  return Object.entries(body).flatMap(([name, value]) => (Number.isNaN(value) ? [name] : []));
}

/** The members of the request whose fields stand behind "More options". */
export function behindMore(options: readonly ModelOption[]): string[] {
  const advanced = options.filter((option) => option.advanced).map((option) => option.name);
  return [...advanced, "optimize", "fallback", "max_cost_usd_micros", "timeout_ms", "tags", "project_id"];
}

function tagsOf(text: string): string[] {
  return text
    .split(",")
    .map((tag) => tag.trim())
    .filter((tag) => tag !== "");
}

/** The body of `POST /generate`: nothing that was left at its default is in it. */
export function bodyOf(form: PlayForm, options: readonly ModelOption[]): GenerateRequest {
  const slash = form.model.indexOf("/");
  const tags = tagsOf(form.tags);
  const maxCost = form.maxCost.trim() === "" ? null : parseMoney(form.maxCost);
  return {
    prompt: form.prompt,
    ...(form.model === "" ? {} : { provider: form.model.slice(0, slash), model: form.model.slice(slash + 1) }),
    ...split(options, form.options).sent,
    ...(form.optimize === "" ? {} : { optimize: form.optimize }),
    ...(form.fallback === "" ? {} : { fallback: form.fallback }),
    ...(maxCost === null ? {} : { max_cost_usd_micros: maxCost }),
    ...(tags.length === 0 ? {} : { tags }),
    ...(form.project.trim() === "" ? {} : { project_id: form.project.trim() }),
    ...(form.waitMs === "" ? {} : { timeout_ms: Number(form.waitMs) }),
  } as GenerateRequest;
}

/** The page's own patience; a client's own call waits as long as the server does. */
export const PAGE_WAIT_MS = 20_000;

/** The `Idempotency-Key` of a content; survives a reload because it can be given back. */
export interface Once {
  key: string;
  content: string;
}

/** The same key for the same content, another for another. */
export function onceFor(last: Once | null, content: unknown, newKey: () => string): Once {
  const text = JSON.stringify(content);
  return last?.content === text ? last : { key: newKey(), content: text };
}

/** After these the job may go on; an answer that was lost on its way may name its job in a header. */
export const GOES_ON: readonly string[] = [
  "provider_timeout",
  "deadline_exceeded",
  "outcome_unknown",
  "storage_error",
  "idempotency_in_flight",
  "unreadable_answer",
];

/** The job that goes on behind a failed answer: what to watch. */
export function jobBehind(error: ApiError): string | null {
  const id = error.details["job_id"];
  return typeof id === "string" && GOES_ON.includes(error.code) ? id : null;
}

/** What to do beyond the hint of the answer. */
export function adviceOf(error: Pick<ApiError, "code" | "details">): string | null {
  switch (error.code) {
    case "rate_limited":
      return error.details["source"] === "provider"
        ? "The provider asked for a pause. Wait for it, or let the platform choose another model."
        : "The instance's own limit is reached. Wait for the pause, or ask an administrator for a higher limit.";
    case "rejected_by_safety":
      return "Change the prompt: the same words will be refused again.";
    case "auth_failed":
      return "Check the key in the form, or ask an administrator for a new one.";
    case "no_route":
      return "Choose another model, raise the maximum cost, or have an administrator enter a provider key.";
    case "provider_auth":
      return "Have an administrator enter a valid provider key, or choose another provider's model.";
    case "provider_quota":
      return "The provider's account has no credit left: fill it up, or choose another provider's model.";
    case "instance_paused":
      return "Choose another instance, or have an administrator resume this one.";
    default:
      return null;
  }
}

/** Why each provider was passed over: `details.skipped`. */
export function skippedOf(error: Pick<ApiError, "details">): { name: string; reason: string }[] {
  const listed = error.details["skipped"];
  if (!Array.isArray(listed)) return [];
  return listed.flatMap((item: unknown) => {
    if (typeof item !== "object" || item === null) return [];
    const { provider, model, reason, ...rest } = item as Record<string, unknown>;
    const name = [provider, model].filter((part) => typeof part === "string").join("/");
    const why = typeof reason === "string" ? reason : JSON.stringify(rest);
    return [{ name: name === "" ? "–" : name, reason: words(why) }];
  });
}

/** Providers whose key was entered for another host than the one that they are asked at now: it is not sent there. */
export function movedHosts(instance: { providers?: unknown } | undefined): string[] {
  const providers = instance?.providers;
  if (typeof providers !== "object" || providers === null) return [];
  return Object.entries(providers as Record<string, unknown>)
    .filter(([, settings]) => typeof settings === "object" && settings !== null && (settings as Record<string, unknown>)["credential_state"] === "host_changed")
    .map(([name]) => name);
}

/** Whether a refusal may come from a key that is not there or not taken. */
export function mayLackKey(code: string): boolean {
  return code === "provider_auth" || code === "provider_quota" || code === "no_route";
}

/** `not_allowed` -> `not allowed`. */
export function words(code: string): string {
  return code.replaceAll("_", " ");
}

const OVER: readonly Job["state"][] = ["succeeded", "failed", "cancelled", "dead"];

/** Nothing more will happen to the job. */
export function isOver(job: Pick<Job, "state">): boolean {
  return OVER.includes(job.state);
}

/** The end of a job that made nothing, as the answer that its request would have had. */
export function failureOf(job: Job): ApiError | null {
  if (job.error === null) {
    if (job.state !== "cancelled" && job.state !== "dead") return null;
    return new ApiError({
      status: 0,
      code: job.state,
      message: job.state === "dead" ? "The job was given up." : "The job was cancelled.",
      hint: "Generate again to start a new one.",
      requestId: job.request_id ?? "",
    });
  }
  const { code, message, details } = job.error;
  return new ApiError({ status: 0, code, message, hint: "", requestId: job.request_id ?? "", details });
}

const STAGES: Readonly<Record<string, string>> = {
  admitted: "Admitted",
  submitting: "Sending to the provider",
  polling: "The provider is drawing",
  fetching: "Fetching the picture",
  storing: "Storing the picture",
};

/** What the job does now, in words. */
export function stageOf(job: Pick<Job, "state" | "stage">): string {
  if (job.state === "queued") return "Waiting in the queue";
  if (job.state === "unknown") return "The outcome is not known yet";
  if (job.state !== "running") return sentence(job.state);
  return job.stage === null || job.stage === undefined ? "Running" : (STAGES[job.stage] ?? sentence(job.stage));
}

/** What there is to say about a watched job, when it becomes true. */
export function newsOf(job: Job): string {
  if (job.result !== null) return "The picture is ready";
  const failure = failureOf(job);
  return failure === null ? stageOf(job) : `No picture: ${failure.message}`;
}

const EVENTS: Readonly<Record<string, string>> = {
  submitted: "Sent to the provider",
  handoff: "Handed to the background",
  resumed: "Taken up again",
  fallback: "Next provider tried",
  stored: "Picture stored",
  unknown: "Outcome not known",
};

/** An event of a job's timeline, in words. */
export function eventOf(event: string): string {
  return EVENTS[event] ?? sentence(event);
}

export function sentence(word: string): string {
  const plain = words(word);
  return plain.charAt(0).toUpperCase() + plain.slice(1);
}

export interface UsedRow {
  option: string;
  asked: string;
  used: string;
  note: string;
}

/** Members of `effective` and what `warnings` say about them: what was asked, what was used. */
export function usedOf(result: GenerateResponse, asked: GenerateRequest | null): UsedRow[] {
  const wanted = (asked ?? {}) as Record<string, unknown>;
  const effective = result.effective as Record<string, unknown>;
  const names = [...new Set([...Object.keys(effective), ...result.warnings.flatMap((warning) => warning.option ?? [])])];
  return names
    .filter((name) => !["prompt", "provider", "model"].includes(name))
    .map((option) => {
      const warning = result.warnings.find((candidate) => candidate.option === option);
      return {
        option,
        asked: shown(wanted[option] ?? warning?.from),
        used: shown(effective[option] ?? warning?.to),
        note: warning === undefined ? "" : sentence(warning.code),
      };
    })
    .filter((row) => row.asked !== "" || row.used !== "" || row.note !== "");
}

function shown(value: unknown): string {
  if (value === undefined || value === null) return "";
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : JSON.stringify(value);
}

/** Another provider or model than the asked one drew the picture. */
export function fellBack(result: GenerateResponse, asked: GenerateRequest | null): boolean {
  if (asked?.model === undefined) return false;
  return asked.provider !== result.metadata.provider || asked.model !== result.metadata.model;
}

const BASIS: Readonly<Record<GenerateResponse["cost_basis"], string>> = {
  reported: "reported by the provider",
  table: "from the price table",
  upper: "at most",
  none: "no price is known",
};

export function basisOf(result: Pick<GenerateResponse, "cost_basis">): string {
  return BASIS[result.cost_basis];
}

/** Tokens that make the simulated providers misbehave, for the "Faults" menu. */
export const FAULTS: readonly { token: string; label: string }[] = [
  { token: "sim:429=14", label: "Rate limit, 14 s pause" },
  { token: "sim:timeout", label: "No answer from the provider" },
  { token: "sim:unsafe", label: "Refused by the safety filter" },
  { token: "sim:500x2", label: "Two failures, then success" },
  { token: "sim:slow=8s", label: "Answer after 8 s" },
  { token: "sim:late=30s", label: "Answer after 30 s" },
];

/** The prompt with one fault instead of the last one. */
export function withFault(prompt: string, token: string | null): string {
  const plain = prompt.replace(/\s*\bsim:\S+/g, "").trim();
  return token === null ? plain : `${plain === "" ? "a lighthouse at dawn" : plain} ${token}`;
}

/** Option names as the models' own descriptions call them. */
export function labelsOf(models: readonly Model[]): Record<string, string> {
  return Object.fromEntries(models.flatMap((model) => model.options.map((option) => [option.name, option.label])));
}

/** The models under their providers, as a list to choose from. */
export function choices(models: readonly Model[]): { group: string; options: { value: string; label: string }[] }[] {
  const providers = [...new Set(models.map((model) => model.provider))];
  return providers.map((provider) => ({
    group: provider,
    options: models
      .filter((model) => model.provider === provider)
      .map((model) => ({ value: model.id, label: model.available ? model.label : `${model.label} (failing now)` })),
  }));
}
