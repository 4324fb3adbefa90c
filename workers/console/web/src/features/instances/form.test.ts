import { expect, it } from "vitest";
import { createBody, draftProblems, EMPTY_DRAFT, firstStep, grantsOf, masked, NOBODY, stepOf } from "./create";
import { check, fromLines, fromText, providersOf, toLines } from "./fields";
import { limitBody, limitDraft, limitProblems, windowText } from "./limits";

const GOOD = {
  name: "Staging", r2_bucket: null, routing: { max_attempts: 3, default_provider: null }, queue: { max_wait_s: 3_600, max_depth: 1, max_depth_project: 1 },
  storage: { url_ttl_s: 86_400 }, providers: { openai: { timeout_ms: 120_000 } },
};

it("finds nothing in a good configuration", () => {
  expect(check(GOOD)).toEqual({});
});

it("finds all problems, each at its member", () => {
  const bad = {
    ...GOOD, name: " ", r2_bucket: "A", routing: { max_attempts: 6, default_provider: "ideogram" }, queue: { ...GOOD.queue, max_wait_s: 59 },
    providers: { openai: { timeout_ms: null } },
  };
  expect(Object.keys(check(bad)).sort()).toEqual([
    "/name", "/providers/openai/timeout_ms", "/queue/max_wait_s", "/r2_bucket", "/routing/default_provider", "/routing/max_attempts",
  ]);
});

it("reads lines and texts", () => {
  expect(fromLines(" a \n\nb")).toEqual(["a", "b"]);
  expect(toLines(["a", "b"])).toBe("a\nb");
  expect([fromText(""), fromText("x")]).toEqual([null, "x"]);
  expect(providersOf({ providers: { b: {}, a: {} } })).toEqual(["a", "b"]);
});

it("makes the smallest request of a new instance", () => {
  expect(createBody({ ...EMPTY_DRAFT, name: " Staging ", id: "staging" })).toEqual({ name: "Staging", instance_id: "staging" });
});

it("makes a whole request, and never shows its keys", () => {
  const body = createBody({
    ...EMPTY_DRAFT, name: "S", id: "s", orgId: "o", environment: "test", bucket: "pics", keys: { openai: " sk-secret ", ideogram: "" },
    limits: { openai: { rpm: 60, inflight: null }, ideogram: { rpm: null, inflight: null } }, budget: "12.50",
  });
  expect(body).toEqual({
    name: "S", instance_id: "s", org_id: "o",
    config: {
      environment: "test", r2_bucket: "pics", api_keys: { openai: "sk-secret" }, rate_limits: { openai: { rpm: 60 } },
      budgets: [{ scope: "instance", period: "month", limit_usd_micros: 12_500_000 }],
    },
  });
  expect(JSON.stringify(masked(body))).not.toContain("sk-secret");
});

it("says what a draft lacks", () => {
  expect(Object.keys(draftProblems(EMPTY_DRAFT, true)).sort()).toEqual(["/instance_id", "/name", "/org_id"]);
  const bad = { ...EMPTY_DRAFT, name: "S", id: "s", budget: "0", limits: { openai: { rpm: 0, inflight: 1_001 } } };
  expect(Object.keys(draftProblems(bad, false)).sort()).toEqual(["/budgets", "/rate_limits/openai/max_inflight_images", "/rate_limits/openai/rpm"]);
});

it("gives access to everybody who is left, those who exist first", () => {
  const people = { userIds: ["u1", "u2"], email: " ada@acme.example " };
  expect(grantsOf(people, []).map(({ who, isNew }) => `${who} ${isNew}`)).toEqual(["u1 false", "u2 false", "ada@acme.example true"]);
  expect(grantsOf(people, ["u1", "ada@acme.example"]).map(({ who }) => who)).toEqual(["u2"]);
  expect(grantsOf(NOBODY, [])).toEqual([]);
  expect(draftProblems({ ...EMPTY_DRAFT, name: "S", id: "s", people: { userIds: [], email: "ada" } }, false)["/people/email"]).toContain("@");
});

it("leads from a refused member to the step of its field, the earliest first", () => {
  expect(stepOf("/environment")).toBe("identity");
  expect(stepOf("/config/api_keys/openai")).toBe("providers");
  expect(stepOf("/budgets/0/limit_usd_micros")).toBe("limits");
  expect(stepOf("/names")).toBe("review");
  expect(firstStep(["/rate_limits/openai/rpm", "/api_keys/openai", "/queue"])).toBe(1);
  expect(firstStep([])).toBeUndefined();
});

it("turns limits into a form and back", () => {
  const limit = { rpm: 60, tpm: null, max_inflight_images: 4, windows: [{ requests: 10, per_ms: 1_500 }] };
  expect(limitBody(limitDraft(limit))).toEqual(limit);
  expect(windowText({ requests: 1_000, per_ms: 1_500 })).toBe("1,000 in 1.5 s");
});

it("finds limits out of range", () => {
  expect(limitProblems({ rpm: 60, tpm: null, inflight: null, windows: [{ requests: 1, seconds: 1 }] })).toEqual({});
  expect(Object.keys(limitProblems({ rpm: 6_001, tpm: 0, inflight: 1.5, windows: [{ requests: null, seconds: 0.5 }] })).sort()).toEqual([
    "/max_inflight_images", "/rpm", "/tpm", "/windows/0/per_ms", "/windows/0/requests",
  ]);
});
