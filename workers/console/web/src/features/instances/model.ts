/** An instance as a document that people edit: what is theirs, what changes, what breaks a rule, how versions merge. */
import { diff, type DiffRow, equal, type Json, mergePatch, type Tone } from "../../ui";

export type Doc = Readonly<Record<string, Json>>;
export type Problems = Readonly<Record<string, string>>;

/** Members of the flat answer that no PATCH sets. */
const DERIVED = new Set([
  "instance_id", "org_id", "api_keys", "worker_urls", "authorized_users", "config_version", "version", "status",
  "paused_reason", "paused_at", "pause_override_until", "created_at", "updated_at", "self_hosted", "request_id",
]);
/** Members of a provider that other pages set: keys, prices. */
const DERIVED_OF_PROVIDER = new Set(["credential_id", "credential_state", "prices"]);

/** The part of an instance's flat answer that people edit, derived members left out. */
export function editableOf(flat: object): Doc {
  const doc = Object.fromEntries(Object.entries(flat).filter(([name]) => !DERIVED.has(name))) as Record<string, Json>;
  const providers = doc["providers"];
  if (isRecord(providers)) {
    doc["providers"] = Object.fromEntries(
      Object.entries(providers).map(([name, settings]) => [name, isRecord(settings) ? without(settings, DERIVED_OF_PROVIDER) : settings]),
    );
  }
  return doc;
}

/** Body of `PATCH /instance/{id}`: only what changed. */
export function patchBody(base: Doc, mine: Doc): { name?: string; config?: Record<string, Json> } {
  const { name, ...config } = mergePatch(base, mine);
  return {
    ...(typeof name === "string" ? { name } : {}),
    ...(Object.keys(config).length === 0 ? {} : { config }),
  };
}

export function etag(version: number): string {
  return `"${version}"`;
}

/** The version in an `ETag`, or in the `details` of a 412. */
export function versionOf(details: Readonly<Record<string, unknown>>): number | undefined {
  const version = details["current_version"];
  return typeof version === "number" ? version : undefined;
}

export function at(doc: Json | undefined, pointer: string): Json | undefined {
  return steps(pointer).reduce<Json | undefined>((value, name) => (isRecord(value) ? value[name] : undefined), doc);
}

/** A copy with the member set, objects on the way made; `undefined` takes it away. */
export function withAt(doc: Doc, pointer: string, value: Json | undefined): Doc {
  const [name, ...rest] = steps(pointer);
  if (name === undefined) return doc;
  if (rest.length === 0) {
    if (value !== undefined) return { ...doc, [name]: value };
    return without(doc, new Set([name]));
  }
  const inner = doc[name];
  return { ...doc, [name]: withAt(isRecord(inner) ? inner : {}, `/${rest.map(escape).join("/")}`, value) };
}

export function pointerOf(...names: readonly string[]): string {
  return names.map((name) => `/${escape(name)}`).join("");
}

/** Rows that a person changed, of a three-way comparison. */
export function isMine(row: DiffRow): boolean {
  return !equal(row.base, row.mine);
}

/** Theirs with what I changed on top; at the pointers in `keepTheirs` theirs stays. */
export function merged(base: Doc, theirs: Doc, mine: Doc, keepTheirs: ReadonlySet<string> = new Set()): Doc {
  return diff(base, mine, theirs)
    .filter((row) => isMine(row) && !keepTheirs.has(row.pointer))
    .reduce((doc, row) => withAt(doc, row.pointer, row.mine), theirs);
}

/** JSON that a person typed as an object; the rule that it breaks otherwise. */
export function parseObject(text: string): { value: Doc } | { error: string } {
  try {
    const value = JSON.parse(text) as Json;
    return isRecord(value) ? { value } : { error: "Must be a JSON object: { \"name\": … }." };
  } catch (error) {
    return { error: `Is not JSON: ${error instanceof Error ? error.message : String(error)}.` };
  }
}

/** An id from a name, as config-service makes it. */
export function slugOf(name: string): string {
  return name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+/, "")
    .slice(0, 40)
    .replace(/-+$/, "");
}

export function idProblem(id: string): string | undefined {
  if (/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/.test(id)) return undefined;
  return "Use 1 to 40 of a-z, 0-9 and hyphens; begin and end with a letter or digit.";
}

export function bucketProblem(name: string): string | undefined {
  if (name === "" || /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(name)) return undefined;
  return "Use 3 to 63 of a-z, 0-9 and hyphens; begin and end with a letter or digit.";
}

/** A whole number in a range; nothing is no problem. */
export function rangeProblem(value: number | null, min: number, max: number): string | undefined {
  if (value === null || (Number.isInteger(value) && value >= min && value <= max)) return undefined;
  return `Must be a whole number, ${min.toLocaleString("en-US")} to ${max.toLocaleString("en-US")}.`;
}

export type Status = "deploying" | "active" | "paused" | "deleting";

export const STATUS: Readonly<Record<Status, { tone: Tone; text: string }>> = {
  active: { tone: "good", text: "Active" },
  deploying: { tone: "info", text: "Deploying" },
  paused: { tone: "warn", text: "Paused" },
  deleting: { tone: "bad", text: "Deleting" },
};

/**
 * What a new instance lacks. The API takes `active` where the addresses of its workers are known, and locally, where none
 * are needed.
 */
export function activation(instance: { worker_urls?: unknown; api_keys: object }, local: boolean): { possible: boolean; hasKey: boolean } {
  const urls = instance.worker_urls;
  return {
    possible: local || (isRecord(urls) && Object.keys(urls).length > 0),
    hasKey: Object.keys(instance.api_keys).length > 0,
  };
}

/** Why an instance is paused, in words. */
export function pauseReason(reason: string | null | undefined): string {
  if (reason === "cost_guard") return "The cost guard paused it: its spending reached the limit.";
  return reason === null || reason === undefined || reason === "" ? "No reason was given." : `Reason: ${reason}${/[.!?]$/.test(reason) ? "" : "."}`;
}

/** Who made an entry of the audit log: `key:..`, `system:..`. */
export function actorOf(entry: { actor: object }): string {
  const principal = (entry.actor as Record<string, unknown>)["principal"];
  return typeof principal === "string" ? principal : "system";
}

/** Keys of a list row by state: how many are usable, and which are not. */
export function keySummary(states: Readonly<Record<string, unknown>> | null): { set: number; wrong: string[] } | null {
  if (states === null) return null;
  const entries = Object.entries(states);
  return {
    set: entries.filter(([, state]) => state === "set").length,
    wrong: entries.filter(([, state]) => state === "failing" || state === "host_changed").map(([name]) => name),
  };
}

export interface Health {
  healthy: number;
  /** Degraded or unhealthy. */
  troubled: number;
  all: number;
}

/** Of the workers that serve an instance: its own, and those of the platform. */
export function healthOf(workers: readonly { instance_id: string | null; health: string }[], id: string): Health {
  const serving = workers.filter((worker) => worker.instance_id === id || worker.instance_id === null);
  const count = (...states: string[]) => serving.filter((worker) => states.includes(worker.health)).length;
  return { healthy: count("healthy"), troubled: count("degraded", "unhealthy"), all: serving.length };
}

export interface Budget {
  scope: string;
  period: "day" | "month";
  limit_usd_micros: number;
}

/** Budgets by scope and period, so that two versions are compared budget by budget. */
export function budgetMap(budgets: readonly Budget[]): Doc {
  return Object.fromEntries(budgets.map((budget) => [`${budget.scope} per ${budget.period}`, budget.limit_usd_micros]));
}

export function budgetList(map: Doc): Budget[] {
  return Object.entries(map).flatMap(([name, limit]) => {
    const found = /^(.+) per (day|month)$/.exec(name);
    if (found === null || typeof limit !== "number") return [];
    return [{ scope: found[1] ?? "", period: found[2] as Budget["period"], limit_usd_micros: limit }];
  });
}

export function scopeProblem(scope: string): string | undefined {
  if (scope === "instance" || /^(provider|project|key):[A-Za-z0-9_-]{1,80}$/.test(scope)) return undefined;
  return "Enter the provider's name, or the id of the project or key.";
}

export function isRecord(value: unknown): value is Readonly<Record<string, Json>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function without(record: Doc, names: ReadonlySet<string>): Doc {
  return Object.fromEntries(Object.entries(record).filter(([name]) => !names.has(name)));
}

function steps(pointer: string): string[] {
  return pointer
    .split("/")
    .slice(1)
    .map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function escape(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}
