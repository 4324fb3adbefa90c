/** Failures of API calls: one type for a worker's error body, a broken connection, and an answer that is no JSON. */

/** A field that the server refused: JSON pointer into the sent body, and the rule in words. */
export interface FieldProblem {
  pointer: string;
  rule: string;
}

export interface ErrorFacts {
  /** HTTP status; 0 when no answer came. */
  status: number;
  /** A code of `docs/errors.md`, or one of `network_error`, `unreadable_answer`. */
  code: string;
  message: string;
  hint: string;
  requestId: string;
  details?: unknown;
  retryAfterMs?: number;
  /** `x-should-retry`: whether the same request may be sent again; `false` also when money may have been spent. */
  shouldRetry?: boolean;
  /** `Server-Timing` of the answer. */
  serverTiming?: string;
}

export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly hint: string;
  readonly requestId: string;
  readonly details: Record<string, unknown>;
  /** Milliseconds until the same request may succeed. */
  readonly retryAfterMs: number | undefined;
  readonly shouldRetry: boolean | undefined;
  readonly serverTiming: string | undefined;

  constructor(facts: ErrorFacts) {
    super(facts.message);
    this.name = "ApiError";
    this.status = facts.status;
    this.code = facts.code;
    this.hint = facts.hint;
    this.requestId = facts.requestId;
    this.details = isRecord(facts.details) ? facts.details : {};
    this.retryAfterMs = facts.retryAfterMs;
    this.shouldRetry = facts.shouldRetry;
    this.serverTiming = facts.serverTiming;
  }

  /** Problems by JSON pointer (`/email`, `/providers/openai/rpm`), from `details`. */
  get fields(): FieldProblem[] {
    const listed = this.details["problems"];
    const problems = Array.isArray(listed) ? listed.filter(isRecord) : [this.details];
    return problems.flatMap((problem) => {
      const at = problem["pointer"] ?? problem["field"];
      const rule = problem["rule"] ?? this.message;
      return typeof at === "string" && typeof rule === "string" ? [{ pointer: asPointer(at), rule }] : [];
    });
  }

  /** The rule that the member at `pointer` breaks; a problem below it counts too. */
  fieldError(pointer: string): string | undefined {
    const found =
      this.fields.find((field) => field.pointer === pointer) ??
      this.fields.find((field) => field.pointer.startsWith(`${pointer}/`));
    return found?.rule;
  }

  /** Section of the error reference. */
  get docs(): string {
    return `/docs/errors#${this.code}`;
  }
}

/** Whatever was thrown, as an `ApiError`. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new ApiError({
    status: 0,
    code: "page_error",
    message: `The page failed: ${message}`,
    hint: "Reload the page. If it happens again, report it with the text above.",
    requestId: "",
  });
}

/** An error answer read from its body; never throws. */
export async function errorOf(response: Response, requestId: string): Promise<ApiError> {
  const text = await response.text().catch(() => "");
  return errorFrom(response.status, text, response.headers, requestId);
}

export function errorFrom(status: number, text: string, headers: Headers, requestId: string): ApiError {
  const body = parse(text);
  const retryAfterMs = number(body["retry_after_ms"]) ?? retryAfter(headers);
  const again = headers.get("x-should-retry");
  const serverTiming = headers.get("server-timing");
  const timed = {
    ...(serverTiming === null ? {} : { serverTiming }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(again === "true" || again === "false" ? { shouldRetry: again === "true" } : {}),
  };
  if (typeof body["error"] !== "string") {
    return new ApiError({
      status,
      code: "unreadable_answer",
      message: `The server answered ${status} without an error body.`,
      hint: "Something between this page and the worker answered. Try again, and report the request id.",
      requestId: headers.get("x-request-id") ?? requestId,
      ...timed,
    });
  }
  return new ApiError({
    status,
    code: body["error"],
    message: string(body["message"]) ?? body["error"],
    hint: string(body["hint"]) ?? "",
    requestId: string(body["request_id"]) ?? headers.get("x-request-id") ?? requestId,
    details: body["details"],
    ...timed,
  });
}

/** No answer at all. */
export function networkError(requestId: string): ApiError {
  return new ApiError({
    status: 0,
    code: "network_error",
    message: "The console did not answer.",
    hint: "Check the connection, and that the stack is running. What is on the page stays.",
    requestId,
  });
}

/** `Retry-After` in milliseconds; seconds or a date, `retry-after-ms` first because it is exact. */
export function retryAfter(headers: Headers, now: number = Date.now()): number | undefined {
  const exact = number(headers.get("retry-after-ms"));
  if (exact !== undefined) return exact;
  const value = headers.get("retry-after");
  if (value === null) return undefined;
  const seconds = number(value);
  if (seconds !== undefined) return seconds * 1000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}

/** `limits[0].rpm`, `limits.rpm` and `limits` are pointers too. */
function asPointer(field: string): string {
  if (field === "" || field.startsWith("/")) return field;
  return `/${field.replaceAll("[", ".").replaceAll("]", "").split(".").join("/")}`;
}

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function string(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function number(value: unknown): number | undefined {
  const parsed = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof parsed === "number" && Number.isFinite(parsed) && parsed >= 0 ? parsed : undefined;
}
