import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ApiError, asApiError, errorFrom, networkError } from "../../api/errors";
import { GOES_ON } from "./model";
import { FREE, isLost, outcomeIsKnown, spentOf, spentOfJob, TOLD } from "./spent";

const ROOT = new URL("../../../../../../", import.meta.url);

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

describe("the documented codes", () => {
  /** Code -> status and retry class, as `docs/errors.md` says them; its other headings are no codes. */
  const documented = new Map(
    [...readFileSync(new URL("docs/errors.md", ROOT), "utf8").matchAll(/^## ([a-z_]+)\n\nStatus (\d{3}), retry class `([nwu])`/gm)].map(
      ([, code = "", status, retry]) => [code, { status: Number(status), retry }] as const,
    ),
  );
  const spent = (code: string) => spentOf(answer(code, documented.get(code)?.status ?? 500));

  it("are read from their page", () => {
    expect(documented.size).toBeGreaterThan(100);
    expect(documented.get("outcome_unknown")).toEqual({ status: 502, retry: "u" });
  });

  it("are the only ones that this page judges", () => {
    // A state of jobs that `failureOf` puts in the place of a code.
    const judged = [...FREE, ...Object.keys(TOLD)].filter((code) => code !== "cancelled");
    expect(judged.filter((code) => !documented.has(code))).toEqual([]);
    expect(FREE.filter((code) => code in TOLD), "one judgement a code").toEqual([]);
  });

  it("never cost nothing where the page of the codes says that money may have been spent", () => {
    const open = [...documented].filter(([, { retry }]) => retry === "u").map(([code]) => code);
    expect(open.length).toBeGreaterThan(3);
    for (const code of open) {
      expect(spent(code).tone, code).toBe("warn");
      expect(spentOf({ code, shouldRetry: true }).tone, `${code}, invited again`).toBe("warn");
    }
  });

  it("that image-gen may answer a picture with are each judged by name", () => {
    interface Api {
      paths: Record<string, { post?: { responses: Record<string, { "x-codes"?: string[] }> } }>;
    }
    const { paths } = JSON.parse(readFileSync(new URL("docs/openapi/image-gen.json", ROOT), "utf8")) as Api;
    const codes = Object.values(paths["/generate"]?.post?.responses ?? {}).flatMap((one) => one["x-codes"] ?? []);
    expect(codes.length).toBeGreaterThan(20);
    expect(codes.filter((code) => !FREE.includes(code) && !(code in TOLD) && !GOES_ON.includes(code))).toEqual([]);
  });
});
