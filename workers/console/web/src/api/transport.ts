/**
 * How a request leaves the page: headers of this console, repetition of reads, the answer to an ended session.
 *
 * In scope: everything that holds for each call. Out of scope: routes and types (`client.ts`).
 */
import { type ApiError, errorOf, networkError, retryAfter } from "./errors";

/** Pauses before the second and the third try of a read. */
const PAUSES_MS = [500, 1_500];
/** A server that asks for more patience than this is answered to the person instead. */
const LONGEST_PAUSE_MS = 10_000;

export interface TransportPorts {
  fetch: (request: Request) => Promise<Response>;
  sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  newId: () => string;
  /** Told of each answer (or its absence), for the connection state and the version check. */
  observe: (answer: { online: boolean; build: string | null }) => void;
  /** A call by cookie was answered 401: resolves to true when the person signed in again and wants it sent again. */
  signInAgain: (write: WriteLabel | null, error: ApiError) => Promise<boolean>;
}

/** What the sign-in dialog says about the write that was refused. */
export interface WriteLabel {
  method: string;
  path: string;
}

export type Transport = (request: Request) => Promise<Response>;

/** Sends a request. Throws an `ApiError` with status 0 when no answer comes, the signal's reason when it is aborted. */
export function transport(ports: TransportPorts): Transport {
  return async (original) => {
    const requestId = original.headers.get("x-request-id") ?? ports.newId();
    const prepared = withHeaders(original, requestId);
    const response = await withRepeats(ports, prepared, requestId);
    if (response.status !== 401 || !usesSession(prepared)) return response;

    const error = await errorOf(response.clone(), requestId);
    const write = isRead(prepared) ? null : { method: prepared.method, path: new URL(prepared.url).pathname };
    // A 401 is given before anything was done, so sending again cannot do it twice; and the person asked for it.
    const again = await ports.signInAgain(write, error);
    if (!again) return response;
    await discard(response);
    return withRepeats(ports, withHeaders(original, ports.newId()), requestId);
  };
}

function withHeaders(original: Request, requestId: string): Request {
  const request = new Request(original.clone());
  request.headers.set("X-Request-Id", requestId);
  request.headers.set("X-Switchyard-Console", "1");
  return request;
}

async function withRepeats(ports: TransportPorts, request: Request, requestId: string): Promise<Response> {
  const pauses = isRead(request) ? PAUSES_MS : [];
  for (let attempt = 0; ; attempt += 1) {
    const answer = await once(ports, request, requestId);
    const pause = pauses[attempt];
    if (pause === undefined || !(await mayRepeat(answer))) {
      if (answer instanceof Response) return answer;
      throw answer;
    }
    const asked = answer instanceof Response ? (retryAfter(answer.headers) ?? 0) : 0;
    if (asked > LONGEST_PAUSE_MS && answer instanceof Response) return answer;
    if (answer instanceof Response) await discard(answer);
    await ports.sleep(Math.max(pause, asked), request.signal);
  }
}

/** The answer, or the error of a connection that gave none. */
async function once(ports: TransportPorts, request: Request, requestId: string): Promise<Response | ApiError> {
  try {
    const response = await ports.fetch(request.clone());
    ports.observe({ online: true, build: response.headers.get("x-switchyard-build") });
    return response;
  } catch (error) {
    if (request.signal.aborted) throw error;
    ports.observe({ online: false, build: null });
    return networkError(requestId);
  }
}

async function mayRepeat(answer: Response | ApiError): Promise<boolean> {
  if (!(answer instanceof Response)) return true;
  return answer.status === 503 || (await isUnreachable(answer));
}

async function isUnreachable(response: Response): Promise<boolean> {
  if (response.status !== 502) return false;
  return (await errorOf(response.clone(), "")).code === "upstream_unavailable";
}

function isRead(request: Request): boolean {
  return request.method === "GET" || request.method === "HEAD";
}

/** A call with its own key, or one that asks for the session itself, says nothing about this page's session. */
function usesSession(request: Request): boolean {
  return !request.headers.has("authorization") && !new URL(request.url).pathname.startsWith("/auth/");
}

/** Lets an answer go that nobody reads: unread, it would hold its connection. */
export async function discard(response: Response): Promise<void> {
  await response.body?.cancel();
}

/** Waits, and ends at once with the signal's reason when the caller leaves. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = () => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", fail);
      resolve();
    }, ms);
    if (signal.aborted) fail();
    else signal.addEventListener("abort", fail, { once: true });
  });
}
