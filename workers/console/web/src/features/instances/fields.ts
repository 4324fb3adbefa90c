/** The form of a configuration: which member is edited how, with the bounds that config-service holds. */
import { at, bucketProblem, type Doc, isRecord, pointerOf, type Problems, rangeProblem } from "./model";
import type { Json } from "../../ui";

interface Common {
  pointer: string;
  label: string;
  help?: string;
}

export type FieldSpec = Common &
  (
    | { kind: "text"; mono?: boolean; required?: boolean; problem?: (text: string) => string | undefined; suggestions?: "provider" }
    | { kind: "number"; unit?: string; min: number; max: number; required?: boolean }
    | { kind: "switch" }
    | { kind: "choice"; options: readonly { value: string; label: string }[]; nullable?: boolean }
    | { kind: "lines" }
    | { kind: "fallback" }
  );

export interface Section {
  id: string;
  title: string;
  lead: string;
  fields: readonly FieldSpec[];
}

const words = (...values: readonly string[]) => values.map((value) => ({ value, label: value.charAt(0).toUpperCase() + value.slice(1) }));

export const SECTIONS: readonly Section[] = [
  {
    id: "general",
    title: "General",
    lead: "What it is called and where its pictures go.",
    fields: [
      { pointer: "/name", label: "Name", kind: "text", required: true },
      { pointer: "/environment", label: "Environment", help: "Such as production or staging.", kind: "text" },
      { pointer: "/r2_bucket", label: "R2 bucket", help: "Once deployed, only the deploy tool changes it.", kind: "text", mono: true, problem: bucketProblem },
      { pointer: "/cdn_base_url", label: "CDN address", help: "Base of public image URLs.", kind: "text", mono: true },
      {
        pointer: "/location_hint", label: "Location", kind: "choice", nullable: true,
        options: [
          { value: "wnam", label: "Western North America" }, { value: "enam", label: "Eastern North America" },
          { value: "sam", label: "South America" }, { value: "weur", label: "Western Europe" },
          { value: "eeur", label: "Eastern Europe" }, { value: "apac", label: "Asia-Pacific" },
          { value: "oc", label: "Oceania" }, { value: "afr", label: "Africa" }, { value: "me", label: "Middle East" },
        ],
      },
      { pointer: "/protected", label: "Protected", help: "Deleting is refused while this is on.", kind: "switch" },
    ],
  },
  {
    id: "routing",
    title: "Routing",
    lead: "Which provider and model a request gets that names none, and what follows a failure.",
    fields: [
      { pointer: "/routing/default_provider", label: "Default provider", help: "Must be one of the providers below, and have a key.", kind: "text", mono: true },
      { pointer: "/routing/default_model", label: "Default model", kind: "text", mono: true },
      { pointer: "/routing/optimize", label: "Optimize for", kind: "choice", options: words("balanced", "cost", "speed", "quality") },
      { pointer: "/routing/max_attempts", label: "Attempts a job", kind: "number", min: 1, max: 5, required: true },
      { pointer: "/routing/fallback", label: "Fallback", kind: "fallback" },
      { pointer: "/routing/unknown_price", label: "Models without a price", kind: "choice", options: words("refuse", "allow") },
      { pointer: "/routing/models", label: "Allowed models", help: "One a line; empty allows all.", kind: "lines" },
      { pointer: "/routing/fallback_on_safety", label: "Try the next provider after a safety refusal", kind: "switch" },
    ],
  },
  {
    id: "queue",
    title: "Wait queue",
    lead: "What happens to a request when a limit is reached.",
    fields: [
      { pointer: "/queue/on_limit", label: "At the limit", kind: "choice", options: [{ value: "reject", label: "Refuse with 429" }, { value: "queue", label: "Let the job wait" }] },
      { pointer: "/queue/max_wait_s", label: "Longest wait", kind: "number", unit: "seconds", min: 60, max: 86_400, required: true },
      { pointer: "/queue/max_depth", label: "Jobs waiting at a provider", kind: "number", min: 1, max: 10_000, required: true },
      { pointer: "/queue/max_depth_project", label: "Of one project", kind: "number", min: 1, max: 10_000, required: true },
    ],
  },
  {
    id: "storage",
    title: "Images",
    lead: "Who may read them, how long they are kept, how they are checked.",
    fields: [
      { pointer: "/storage/visibility", label: "Visibility", kind: "choice", options: words("private", "public") },
      { pointer: "/storage/url_ttl_s", label: "Life of signed URLs", kind: "number", unit: "seconds", min: 60, max: 604_800, required: true },
      { pointer: "/storage/retention_days", label: "Keep for", help: "Empty keeps them.", kind: "number", unit: "days", min: 1, max: 3_650 },
      { pointer: "/storage/keep_last", label: "Keep the newest", help: "Empty sets no number.", kind: "number", unit: "images", min: 1, max: 1_000_000 },
      { pointer: "/quality_check", label: "Quality check", kind: "choice", options: words("off", "warn", "strict") },
      { pointer: "/sync_timeout_ms", label: "Longest wait of a request", help: "Empty means 120,000.", kind: "number", unit: "ms", min: 1_000, max: 900_000 },
      { pointer: "/webhook_hosts", label: "Webhook hosts", help: "One a line; empty allows any public host.", kind: "lines" },
    ],
  },
];

export function providerFields(name: string): readonly FieldSpec[] {
  const at = (member: string) => pointerOf("providers", name, member);
  return [
    { pointer: at("enabled"), label: "Enabled", help: "Whether requests may be sent to it.", kind: "switch" },
    { pointer: at("adapter"), label: "Adapter", help: "Empty: the provider's own name.", kind: "text", mono: true },
    { pointer: at("base_url"), label: "Base URL", help: "Empty: the vendor's own. Another host needs its key again.", kind: "text", mono: true },
    { pointer: at("default_model"), label: "Default model", kind: "text", mono: true },
    { pointer: at("timeout_ms"), label: "Longest generation", kind: "number", unit: "ms", min: 1_000, max: 900_000, required: true },
    { pointer: at("allowed_models"), label: "Allowed models", help: "One a line; empty allows all.", kind: "lines" },
  ];
}

export function providersOf(doc: Doc): string[] {
  const providers = doc["providers"];
  return isRecord(providers) ? Object.keys(providers).sort() : [];
}

export function allFields(doc: Doc): FieldSpec[] {
  return [...SECTIONS.flatMap((section) => section.fields), ...providersOf(doc).flatMap(providerFields)];
}

/** What breaks a rule, by pointer, before anything is sent. Members that the form does not show are the server's to judge. */
export function check(doc: Doc): Problems {
  const problems: Record<string, string> = {};
  for (const field of allFields(doc)) {
    const rule = problemOf(field, at(doc, field.pointer));
    if (rule !== undefined) problems[field.pointer] = rule;
  }
  const provider = at(doc, "/routing/default_provider");
  if (typeof provider === "string" && !providersOf(doc).includes(provider)) {
    problems["/routing/default_provider"] = "Must be one of the providers below.";
  }
  return problems;
}

function problemOf(field: FieldSpec, value: Json | undefined): string | undefined {
  if (field.kind === "text") {
    const text = typeof value === "string" ? value.trim() : "";
    return field.required === true && text === "" ? "Enter a text." : field.problem?.(text);
  }
  if (field.kind === "number") {
    if (value === undefined || value === null) return field.required === true && value === null ? "Enter a number." : undefined;
    return rangeProblem(typeof value === "number" ? value : Number.NaN, field.min, field.max);
  }
  return undefined;
}

/** What a text field holds: empty is `null`. */
export function fromText(text: string): Json {
  return text === "" ? null : text;
}

export function toLines(value: Json | undefined): string {
  return Array.isArray(value) ? value.map(String).join("\n") : "";
}

/** One entry a line; empty lines count for nothing. */
export function fromLines(text: string): string[] {
  return text.split("\n").map((line) => line.trim()).filter((line) => line !== "");
}
