import { expect, it } from "vitest";
import { ApiError, asApiError, errorFrom, networkError } from "../../api/errors";
import { isLost, outcomeIsKnown, spentOf, spentOfJob } from "./spent";

const answer = (code: string, status: number, again?: boolean) =>
  errorFrom(status, JSON.stringify({ error: code, message: "m" }), new Headers(again === undefined ? {} : { "x-should-retry": String(again) }), "r");

it("costs nothing when it was refused before a provider was asked, whatever the header says", () => {
  for (const error of [answer("rate_limited", 429, true), answer("auth_failed", 401, false), answer("no_route", 422, false), answer("provider_auth", 502, false)]) {
    expect(spentOf(error), error.code).toEqual({ tone: "good", text: "Nothing was spent." });
    expect(isLost(error)).toBe(false);
  }
});

it("may have cost something when the code says so", () => {
  expect(spentOf(answer("provider_timeout", 504, false)).text).toContain("goes on");
  expect(spentOf(answer("rejected_by_safety", 422, false)).text).toContain("May be billed");
  expect(spentOf(answer("storage_error", 502, false)).text).toContain("Billed once");
});

it("may have cost something when nobody knows: no answer, half an answer, a code that this page does not know", () => {
  const cut = new ApiError({ status: 0, code: "unreadable_answer", message: "m", hint: "", requestId: "" });
  const unknown = [networkError("r"), asApiError(new TypeError("Failed to fetch")), cut, answer("a_code_of_tomorrow", 500), answer("a_code_of_tomorrow", 502, false), answer("upstream_unavailable", 502, true)];
  for (const error of unknown) {
    expect(spentOf(error), error.code).toMatchObject({ tone: "warn" });
    expect(spentOf(error).text).toContain("is billed once");
    expect(isLost(error)).toBe(true);
  }
});

it("believes a server that invites the same request again", () => {
  expect(spentOf(answer("a_code_of_tomorrow", 503, true)).text).toBe("Nothing was spent.");
});

it("a job that is over neither goes on nor is asked again", () => {
  for (const code of ["outcome_unknown", "dead", "a_code_of_tomorrow"]) {
    expect(spentOfJob({ code, shouldRetry: undefined }).text).toContain("the job ended");
  }
  expect(spentOfJob({ code: "cancelled", shouldRetry: undefined }).text).toBe("Nothing was spent.");
});

it("asks the same request again only while its outcome is open, so that a refusal with a pause is not kept for a day", () => {
  const pause = (code: string, status: number) => errorFrom(status, JSON.stringify({ error: code, message: "m", retry_after_ms: 2_000 }), new Headers(), "r");
  for (const error of [answer("rejected_by_safety", 422), answer("auth_failed", 401), pause("rate_limited", 429), pause("limiter_unavailable", 503), pause("budget_exceeded", 402)]) {
    expect(outcomeIsKnown(error), error.code).toBe(true);
  }
  for (const error of [networkError("r"), answer("outcome_unknown", 502), answer("provider_timeout", 504), pause("upstream_unavailable", 502), pause("idempotency_in_flight", 409)]) {
    expect(outcomeIsKnown(error), error.code).toBe(false);
  }
});
