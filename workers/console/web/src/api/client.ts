/**
 * One typed client a worker, all through the same transport.
 *
 *     const user = await unwrap(configService.GET("/user/{user_id}", { params: { path: { user_id } } }));
 *
 * Paths, bodies and answers are typed from `docs/openapi`. `unwrap` gives the body or throws an `ApiError`.
 */
import createClient from "openapi-fetch";
import { observeAnswer } from "./connection";
import { type ApiError, errorFrom } from "./errors";
import type { paths as ConfigService } from "./generated/config-service";
import type { paths as ImageGen } from "./generated/image-gen";
import { signInAgain } from "./reauth";
import { sleep, transport } from "./transport";

export const send = transport({
  fetch: (request) => fetch(request),
  sleep,
  newId: () => crypto.randomUUID(),
  observe: observeAnswer,
  signInAgain,
});

const clientOf = <Paths extends object>(baseUrl: string) => createClient<Paths>({ baseUrl, fetch: send });

export const configService = clientOf<ConfigService>("/api/config-service");
export const imageGen = clientOf<ImageGen>("/api/image-gen");

/** Header of a call to one instance: `imageGen.GET("/jobs", { headers: inInstance("production") })`. */
export function inInstance(instanceId: string): { "X-Instance-ID": string } {
  return { "X-Instance-ID": instanceId };
}

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The body of a good answer (`undefined` of a 204); throws an `ApiError` otherwise. */
export async function unwrap<T>(call: Promise<Answer<T>>): Promise<T> {
  return (await unwrapWithHeaders(call)).body;
}

/** As `unwrap`, with the headers: for `ETag` and `Server-Timing`. */
export async function unwrapWithHeaders<T>(call: Promise<Answer<T>>): Promise<{ body: T; headers: Headers }> {
  const answer = await call;
  if (!answer.response.ok) throw failure(answer);
  return { body: answer.data as T, headers: answer.response.headers };
}

function failure(answer: Answer<unknown>): ApiError {
  const { status, headers } = answer.response;
  const text = typeof answer.error === "string" ? answer.error : JSON.stringify(answer.error ?? null);
  return errorFrom(status, text, headers, headers.get("x-request-id") ?? "");
}

/** The address of something that the browser fetches by itself (`<img>`, download, event stream): no header possible. */
export function addressOf(worker: "image-gen" | "config-service", path: string, instanceId?: string): string {
  const encoded = path.split("/").map(encodeURIComponent).join("/");
  const query = instanceId === undefined ? "" : `?__instance=${encodeURIComponent(instanceId)}`;
  return `/api/${worker}/${encoded.replace(/^\//, "")}${query}`;
}
