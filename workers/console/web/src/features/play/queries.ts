/** Calls of the playground: as the session, or with a key that was typed for one request. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { addressOf, configService, imageGen, inInstance, send, unwrap } from "../../api/client";
import { ApiError, asApiError, errorFrom, errorOf } from "../../api/errors";
import { readInstances } from "../../api/instance";
import { keys } from "../../api/keys";
import type { components } from "../../api/generated/config-service";
import { hasRole, type InstanceRef, may, type Session } from "../../api/session";
import { keyFault } from "../../format/api_key";
import { type GenerateRequest, type GenerateResponse, isOver, type Job, PAGE_WAIT_MS } from "./model";
import { type Model, modelsOf } from "./options";
import { type Timing, timingsOf } from "./stages";

/** Who asks. `turn` stands for the typed key in query keys, which never hold a key. */
export interface Caller {
  apiKey: string | null;
  turn: number;
  /** Some identity is there: a session, or a typed key of the right form. */
  ready: boolean;
}

let turns = 0;

/** For each change of the typed key, also after the page was left: no two keys share what was read. */
export function nextTurn(): number {
  return (turns += 1);
}

export function callerOf(typed: string, turn: number, signedIn: boolean): Caller {
  const apiKey = typed.trim() === "" ? null : typed.trim();
  return { apiKey, turn, ready: apiKey === null ? signedIn : keyFault(apiKey) === null };
}

interface Identity {
  headers: Record<string, string>;
  credentials?: "omit";
}

function identity(caller: Caller, instanceId?: string): Identity {
  const headers = instanceId === undefined ? {} : inInstance(instanceId);
  if (caller.apiKey === null) return { headers };
  return { headers: { ...headers, Authorization: `Bearer ${caller.apiKey}` }, credentials: "omit" };
}

function who(caller: Caller): readonly (string | number)[] {
  return caller.apiKey === null ? [] : ["typed", caller.turn];
}

/** What was read with a typed key goes when the page is left; what the session may see stays a while. */
function forgotten(caller: Caller): { gcTime?: number } {
  return caller.apiKey === null ? {} : { gcTime: 0 };
}

export interface Principal {
  permissions: readonly string[];
  instances: readonly InstanceRef[];
}

/** What the typed key may use; not asked for the session, whose instances the page knows. */
export function useTypedPrincipal(caller: Caller): { principal: Principal | undefined; error: ApiError | null } {
  const query = useQuery({
    queryKey: [...keys.session, ...who(caller)],
    queryFn: async ({ signal }): Promise<Principal> => {
      const found = await unwrap(configService.GET("/session", { ...identity(caller), signal }));
      const instances = found.instances_more ? await readInstances(signal, identity(caller)) : (found.instances as unknown as InstanceRef[]);
      return { permissions: found.permissions, instances };
    },
    enabled: caller.apiKey !== null && caller.ready,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
  });
  return { principal: query.data, error: query.error === null ? null : asApiError(query.error) };
}

export type InstanceFacts = components["schemas"]["Instance"];

/** The instance as it is now; `undefined` while it is not asked for, not known, or not the caller's to read. */
export function useInstanceFacts(caller: Caller, instanceId: string, wanted: boolean): InstanceFacts | undefined {
  const query = useQuery({
    queryKey: [...keys.instance(instanceId), ...who(caller)],
    queryFn: ({ signal }) => unwrap(configService.GET("/instance/{instance_id}", { ...identity(caller), params: { path: { instance_id: instanceId } }, signal })),
    enabled: caller.ready && wanted,
    refetchInterval: 30_000,
    ...forgotten(caller),
  });
  return query.data;
}

/** When the instance was paused, from the audit log; only for a session that may read that. */
export function usePausedSince(instance: InstanceFacts | undefined, session: Session | null): string | undefined {
  const filters = {
    target: `instance:${instance?.instance_id ?? ""}`,
    action: "pause_instance",
    ...(hasRole(session, "superadmin") && instance !== undefined ? { org_id: instance.org_id } : {}),
    limit: 1,
  };
  const query = useQuery({
    queryKey: keys.audit(filters),
    queryFn: ({ signal }) => unwrap(configService.GET("/audit", { params: { query: filters }, signal })),
    enabled: instance !== undefined && may(session, "audit:read"),
  });
  return query.data?.items[0]?.at;
}

/** The instance's projects; `undefined` while they are not known, or when the caller may not read them. */
export function useProjects(caller: Caller, instanceId: string | undefined): readonly { project_id: string; name: string }[] | undefined {
  const query = useQuery({
    queryKey: [...keys.projects({ instance_id: instanceId, limit: 200 }), ...who(caller)],
    queryFn: ({ signal }) =>
      unwrap(configService.GET("/project", { ...identity(caller), params: { query: { instance_id: instanceId ?? "", limit: 200 } }, signal })),
    enabled: caller.ready && instanceId !== undefined,
    staleTime: 60_000,
    ...forgotten(caller),
  });
  return query.data?.items;
}

export interface Models {
  models: readonly Model[] | undefined;
  error: ApiError | null;
  loading: boolean;
  retry: () => void;
}

const NO_MODELS: readonly Model[] = [];

/** The models that the instance can use. */
export function useModels(caller: Caller, instanceId: string | undefined): Models {
  // Whoever has no instance has no models either.
  const may = caller.ready && instanceId !== undefined;
  const query = useQuery({
    queryKey: [...keys.models(instanceId ?? ""), ...who(caller)],
    queryFn: async ({ signal }) => {
      const answer = await imageGen.GET("/v1/models", { ...identity(caller, instanceId), signal });
      if (answer.data === undefined) throw openAiFailure(answer.response, answer.error);
      return modelsOf(answer.data.data);
    },
    enabled: may,
    staleTime: 60_000,
    ...forgotten(caller),
  });
  return {
    models: query.data ?? (may ? undefined : NO_MODELS),
    error: query.error === null ? null : asApiError(query.error),
    loading: query.isFetching,
    retry: () => void query.refetch(),
  };
}

/** Routes below `/v1` answer failures in OpenAI's shape. */
function openAiFailure(response: Response, body: unknown): ApiError {
  const inner = (body as { error?: unknown } | undefined)?.error;
  const requestId = response.headers.get("x-request-id") ?? "";
  if (typeof inner !== "object" || inner === null) {
    return errorFrom(response.status, JSON.stringify(body ?? null), response.headers, requestId);
  }
  const { message, code, type } = inner as Record<string, unknown>;
  const named = typeof code === "string" ? code : typeof type === "string" ? type : "unreadable_answer";
  return new ApiError({
    status: response.status,
    code: named,
    message: typeof message === "string" ? message : named,
    hint: "",
    requestId,
  });
}

export interface Answered {
  result: GenerateResponse;
  timings: Timing[];
}

/** One generation; `once` makes a second click, a lost answer and "Try again" the same job. */
export async function generate(
  caller: Caller,
  instanceId: string | undefined,
  body: GenerateRequest,
  once: string,
): Promise<Answered> {
  const { headers, credentials } = identity(caller, instanceId);
  const response = await send(
    new Request("/api/image-gen/generate", {
      method: "POST",
      headers: { ...headers, "Content-Type": "application/json", "Idempotency-Key": once },
      body: JSON.stringify({ ...body, timeout_ms: (body as Partial<GenerateRequest>).timeout_ms ?? PAGE_WAIT_MS }),
      ...(credentials === undefined ? {} : { credentials }),
    }),
  );
  // Not through `unwrap`: when the body breaks off, the headers still name the job.
  const text = await response.text().catch(() => null);
  if (text !== null && !response.ok) throw errorFrom(response.status, text, response.headers, "");
  try {
    return { result: JSON.parse(text ?? "") as GenerateResponse, timings: timingsOf(response.headers.get("server-timing")) };
  } catch {
    throw brokenOff(response);
  }
}

/** The answer came, and its body did not, or not whole. */
function brokenOff(response: Response): ApiError {
  const job = response.headers.get("x-switchyard-job-id");
  const serverTiming = response.headers.get("server-timing");
  return new ApiError({
    status: 0,
    code: "unreadable_answer",
    message: "The answer broke off on its way.",
    hint: "The picture may be made all the same.",
    requestId: response.headers.get("x-request-id") ?? "",
    ...(job === null ? {} : { details: { job_id: job } }),
    ...(serverTiming === null ? {} : { serverTiming }),
  });
}

/** Seconds that the server holds the answer until the job changes. */
const WAIT_S = 25;
const PAUSE_MS = 700;

export interface WatchedJob {
  job: Job | undefined;
  error: ApiError | null;
  retry: () => void;
}

/** A job until it is over. It is asked for again after a failure too, so it comes back by itself. */
export function useJob(caller: Caller, instanceId: string | undefined, jobId: string, watch = true): WatchedJob {
  const client = useQueryClient();
  const queryKey = [...keys.job(instanceId ?? "", jobId), ...who(caller)];
  const query = useQuery({
    queryKey,
    queryFn: ({ signal }) => {
      const known = client.getQueryData<Job>(queryKey);
      const wait = known === undefined || isOver(known) ? {} : { wait: String(WAIT_S), version: String(known.version) };
      return unwrap(
        imageGen.GET("/jobs/{id}", { ...identity(caller, instanceId), params: { path: { id: jobId }, query: wait }, signal }),
      );
    },
    enabled: caller.ready,
    refetchInterval: ({ state }) => {
      if (!watch || (state.data !== undefined && isOver(state.data))) return false;
      if (state.error !== null) return needsAPerson(asApiError(state.error)) ? false : 5_000;
      // A job whose outcome is not known changes in minutes; the server holds the answer for what it can.
      return PAUSE_MS;
    },
    ...forgotten(caller),
  });
  return {
    job: query.data,
    error: query.error === null ? null : asApiError(query.error),
    retry: () => void query.refetch(),
  };
}

function needsAPerson(error: ApiError): boolean {
  return error.status >= 400 && error.status < 500 && error.status !== 429;
}

export interface PictureSource {
  /** Address for `<img>`; `undefined` while it is fetched. */
  src: string | undefined;
  error: ApiError | null;
  /** The browser could not draw it: find out why. */
  onBroken: () => void;
  retry: () => void;
}

/** A stored picture, from this origin. With a typed key it is fetched and drawn as a blob: an `<img>` sends no key. */
export function usePicture(caller: Caller, instanceId: string | undefined, r2Path: string): PictureSource {
  const address = addressOf("image-gen", `images/${r2Path}`, instanceId);
  const typed = caller.apiKey !== null;
  const [broken, setBroken] = useState(false);
  const query = useQuery({
    queryKey: [...keys.images(instanceId ?? ""), r2Path, ...who(caller)],
    queryFn: async ({ signal }) => {
      const { credentials, headers } = identity(caller);
      const request = new Request(address, { headers, signal, ...(credentials === undefined ? {} : { credentials }) });
      const response = await send(request);
      if (!response.ok) throw await errorOf(response, "");
      return URL.createObjectURL(await response.blob());
    },
    enabled: caller.ready && (typed || broken),
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
  });
  const blob = query.data;
  // The cache drops the address with this component (`gcTime`), so nobody else uses it.
  useEffect(() => {
    if (blob === undefined) return;
    return () => URL.revokeObjectURL(blob);
  }, [blob]);
  return {
    src: typed || broken ? blob : address,
    error: query.error === null ? null : asApiError(query.error),
    onBroken: () => setBroken(true),
    retry: () => void query.refetch(),
  };
}
