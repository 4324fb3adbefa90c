/** The form of a new instance, as text and numbers, and the request that it becomes. */
import { emailFault } from "../../format/email";
import { parseMoney } from "../../format/money";
import type { components } from "../../api/generated/config-service";
import { bucketProblem, idProblem, type Problems, rangeProblem } from "./model";

type CreateInstance = components["schemas"]["CreateInstance"];

/** Adapters that the platform has; each is a provider of its own name without further settings. */
export const PROVIDERS = [
  { name: "ideogram", label: "Ideogram" },
  { name: "openai", label: "OpenAI" },
] as const;

export const STEPS = ["identity", "providers", "limits", "review"] as const;
export type Step = (typeof STEPS)[number];

const MEMBERS: Readonly<Record<Exclude<Step, "review">, readonly string[]>> = {
  identity: ["/name", "/instance_id", "/org_id", "/environment", "/r2_bucket"],
  providers: ["/api_keys"],
  limits: ["/rate_limits", "/budgets", "/people"],
};

/** The step that has the field of a member; the review when none has. */
export function stepOf(pointer: string): Step {
  const own = pointer.replace(/^\/config(?=\/)/, "");
  const found = Object.entries(MEMBERS).find(([, members]) => members.some((member) => own === member || own.startsWith(`${member}/`)));
  return (found?.[0] as Step | undefined) ?? "review";
}

/** The earliest step that has one of these members. */
export function firstStep(pointers: readonly string[]): number | undefined {
  const steps = pointers.map((pointer) => STEPS.indexOf(stepOf(pointer)));
  return steps.length === 0 ? undefined : Math.min(...steps);
}

export interface Draft {
  name: string;
  id: string;
  /** The id is no longer made from the name. */
  idTyped: boolean;
  orgId: string | null;
  environment: string;
  bucket: string;
  keys: Readonly<Record<string, string>>;
  limits: Readonly<Record<string, { rpm: number | null; inflight: number | null }>>;
  /** Dollars a month, as typed. */
  budget: string;
  people: People;
}

/** Who is given access once the instance exists. */
export interface People {
  userIds: readonly string[];
  /** A user who is created with access; empty for none. */
  email: string;
}

export const NOBODY: People = { userIds: [], email: "" };

export const EMPTY_DRAFT: Draft = {
  name: "", id: "", idTyped: false, orgId: null, environment: "", bucket: "", keys: {}, limits: {}, budget: "", people: NOBODY,
};

export function draftProblems(draft: Draft, needsOrganization: boolean): Problems {
  const problems: Record<string, string | undefined> = {
    "/name": draft.name.trim() === "" ? "Enter a name." : undefined,
    "/instance_id": idProblem(draft.id),
    "/org_id": needsOrganization && draft.orgId === null ? "Choose the organization that it belongs to." : undefined,
    "/r2_bucket": bucketProblem(draft.bucket),
    "/budgets": draft.budget.trim() !== "" && !(parseMoney(draft.budget) ?? 0) ? "Enter an amount in dollars, such as 50.00." : undefined,
    "/people/email": emailProblem(draft.people),
  };
  for (const [name, limit] of Object.entries(draft.limits)) {
    problems[`/rate_limits/${name}/rpm`] = rangeProblem(limit.rpm, 1, 6_000);
    problems[`/rate_limits/${name}/max_inflight_images`] = rangeProblem(limit.inflight, 1, 1_000);
  }
  return Object.fromEntries(Object.entries(problems).filter((entry): entry is [string, string] => entry[1] !== undefined));
}

/** No address is no problem: nobody is created. */
export function emailProblem({ email }: People): string | undefined {
  return email.trim() === "" ? undefined : emailFault(email);
}

export interface Grant {
  /** Known by it: a user's id, or the address of one to come. */
  who: string;
  isNew: boolean;
}

/** The calls that are left, those who exist first. */
export function grantsOf({ userIds, email }: People, done: readonly string[]): Grant[] {
  const all = [...userIds.map((who) => ({ who, isNew: false })), ...(email.trim() === "" ? [] : [{ who: email.trim(), isNew: true }])];
  return all.filter(({ who }) => !done.includes(who));
}

export function createBody(draft: Draft): CreateInstance {
  const limits = Object.fromEntries(
    Object.entries(draft.limits)
      .map(([name, { rpm, inflight }]) => [name, { ...(rpm === null ? {} : { rpm }), ...(inflight === null ? {} : { max_inflight_images: inflight }) }] as const)
      .filter(([, limit]) => Object.keys(limit).length > 0),
  );
  const keys = Object.fromEntries(Object.entries(draft.keys).map(([name, key]) => [name, key.trim()] as const).filter(([, key]) => key !== ""));
  const micros = parseMoney(draft.budget);
  const config = {
    ...(draft.environment.trim() === "" ? {} : { environment: draft.environment.trim() }),
    ...(draft.bucket === "" ? {} : { r2_bucket: draft.bucket }),
    ...(Object.keys(keys).length === 0 ? {} : { api_keys: keys }),
    ...(Object.keys(limits).length === 0 ? {} : { rate_limits: limits }),
    ...(micros === null || micros === 0 ? {} : { budgets: [{ scope: "instance", period: "month", limit_usd_micros: micros }] }),
  };
  return {
    name: draft.name.trim(),
    instance_id: draft.id,
    ...(draft.orgId === null ? {} : { org_id: draft.orgId }),
    ...(Object.keys(config).length === 0 ? {} : { config }),
  };
}

/** The same request without the keys, for code that is shown and copied. */
export function masked(body: CreateInstance): CreateInstance {
  const keys = body.config?.api_keys;
  if (keys === undefined) return body;
  return { ...body, config: { ...body.config, api_keys: Object.fromEntries(Object.keys(keys).map((name) => [name, "****"])) } };
}
