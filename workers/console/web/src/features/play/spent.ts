/** What a failed request cost, as far as its answer tells. */
import type { ApiError } from "../../api/errors";
import { GOES_ON } from "./model";

export interface Spent {
  tone: "good" | "warn";
  text: string;
}

const OPEN: Spent = { tone: "warn", text: "May be billed: the job goes on, and is watched here." };
const NOT_KNOWN: Spent = { tone: "warn", text: "May be billed: it is not known how far the request came. Asking again is the same request, and is billed once." };
const NOTHING: Spent = { tone: "good", text: "Nothing was spent." };
const ENDED: Spent = { tone: "warn", text: "May be billed: the job ended before its cost was known." };

export const TOLD: Readonly<Record<string, Spent>> = {
  rejected_by_safety: { tone: "warn", text: "May be billed: some providers charge for a picture that they keep back." },
  quality_rejected: { tone: "warn", text: "Billed: the picture was made, and is kept." },
  result_expired: { tone: "warn", text: "Billed: the provider made the picture, and no longer has it." },
  storage_error: { tone: "warn", text: "Billed once: the picture is made, and storing it goes on." },
  provider_error: { tone: "warn", text: "May be billed: the provider failed after it had taken the request." },
  internal_error: { tone: "warn", text: "May be billed: it is not known how far the request came." },
  upstream_unavailable: NOT_KNOWN,
  idempotency_in_flight: { tone: "good", text: "Billed once: this is the request that already runs." },
};

/** Codes that are given before anything is sent to a provider. */
export const FREE: readonly string[] = [
  "invalid_request", "invalid_field", "unknown_field", "unknown_bucket", "option_unsupported", "request_exceeds_limit",
  "conflicting_instance", "instance_mismatch", "instance_required", "instance_not_active", "instance_paused",
  "project_mismatch", "project_required", "auth_failed", "forbidden", "role_required", "scope_missing", "csrf_rejected",
  "origin_refused", "not_found", "method_not_allowed", "payload_too_large", "unsupported_media_type",
  "idempotency_mismatch", "budget_exceeded", "no_route", "price_unknown", "rate_limited", "queue_full",
  "too_many_auth_failures", "decryption_failed", "provider_auth", "provider_quota", "config_unavailable",
  "database_unavailable", "ledger_unavailable", "limiter_unavailable", "provider_unavailable", "worker_not_deployed",
  "upstream_refused", "overloaded", "cancelled",
];

type Told = Pick<ApiError, "code" | "shouldRetry">;

export function spentOf(error: Told): Spent {
  const told = TOLD[error.code];
  if (told !== undefined) return told;
  if (FREE.includes(error.code)) return NOTHING;
  if (error.code !== "unreadable_answer" && GOES_ON.includes(error.code)) return OPEN;
  // An unknown code: only a server that invites the same request again says that this one did nothing.
  return error.shouldRetry === true ? NOTHING : NOT_KNOWN;
}

/** Of a job that is over: nothing goes on, and nothing is asked again. */
export function spentOfJob(error: Told): Spent {
  const spent = spentOf(error);
  return spent === OPEN || spent === NOT_KNOWN ? ENDED : spent;
}

/** Whether "again" may be a new request; else it must be the same one, whose outcome is not known. */
export function outcomeIsKnown(error: Told & Pick<ApiError, "status">): boolean {
  return error.status >= 400 && !GOES_ON.includes(error.code) && !isLost(error);
}

/** Whether asking again is the way to find out what became of the request. */
export function isLost(error: Told): boolean {
  return spentOf(error) === NOT_KNOWN;
}
