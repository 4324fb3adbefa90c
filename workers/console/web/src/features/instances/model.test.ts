import { expect, it } from "vitest";
import {
  activation, at, budgetList, budgetMap, bucketProblem, type Doc, editableOf, healthOf, idProblem, keySummary, merged, parseObject, patchBody, pauseReason, rangeProblem,
  scopeProblem, slugOf, versionOf, withAt,
} from "./model";

const FLAT = {
  instance_id: "staging", org_id: "o", name: "Staging", status: "active", paused_reason: null, api_keys: { openai: "****9f2c" }, version: 3,
  config_version: 4, self_hosted: false, worker_urls: {}, authorized_users: ["u"], created_at: "x", updated_at: "x", request_id: "r",
  environment: "test", routing: { max_attempts: 3, models: ["a"] },
  providers: { openai: { enabled: true, credential_id: "c", credential_state: "set", prices: [1], base_url: null } },
};

it("edits only what people edit", () => {
  expect(editableOf(FLAT)).toEqual({
    name: "Staging", environment: "test", routing: { max_attempts: 3, models: ["a"] }, providers: { openai: { enabled: true, base_url: null } },
  });
});

it("offers to activate where the API takes it, and misses a provider key", () => {
  const urls = { image_gen: "https://image-gen-staging.acme.workers.dev" };
  expect(activation({ worker_urls: {}, api_keys: {} }, true)).toEqual({ possible: true, hasKey: false });
  expect(activation({ worker_urls: {}, api_keys: { openai: "****9f2c" } }, false)).toEqual({ possible: false, hasKey: true });
  expect(activation({ worker_urls: urls, api_keys: {} }, false)).toEqual({ possible: true, hasKey: false });
});

it("counts the workers of an instance and of the platform, and no other's", () => {
  const workers = [
    { instance_id: null, health: "healthy" }, { instance_id: null, health: "unknown" }, { instance_id: "staging", health: "degraded" },
    { instance_id: "production", health: "unhealthy" },
  ];
  expect(healthOf(workers, "staging")).toEqual({ healthy: 1, troubled: 1, all: 3 });
  expect(healthOf([], "staging")).toEqual({ healthy: 0, troubled: 0, all: 0 });
});

it("sends only what changed, null for what goes", () => {
  const base = editableOf(FLAT);
  const mine = withAt(withAt(withAt(base, "/routing/max_attempts", 5), "/environment", undefined), "/providers/openai/base_url", "https://a.example");
  expect(patchBody(base, mine)).toEqual({ config: { environment: null, routing: { max_attempts: 5 }, providers: { openai: { base_url: "https://a.example" } } } });
  expect(patchBody(base, withAt(base, "/name", "New"))).toEqual({ name: "New" });
  expect(patchBody(base, base)).toEqual({});
});

it("reads and sets members by pointer, names with slashes too", () => {
  const doc = withAt({}, "/a~1b/c", 1);
  expect(doc).toEqual({ "a/b": { c: 1 } });
  expect(at(doc, "/a~1b/c")).toBe(1);
  expect(at(doc, "/a~1b/c/d")).toBeUndefined();
  expect(withAt(doc, "/a~1b/c", undefined)).toEqual({ "a/b": {} });
});

const BASE: Doc = { name: "A", routing: { max_attempts: 3, optimize: "cost" }, environment: "x" };
const THEIRS: Doc = { name: "B", routing: { max_attempts: 4, optimize: "cost" }, environment: "x" };
const MINE: Doc = { name: "A", routing: { max_attempts: 5, optimize: "speed" } };

it("puts mine on theirs and keeps what only they changed", () => {
  expect(merged(BASE, THEIRS, MINE)).toEqual({ name: "B", routing: { max_attempts: 5, optimize: "speed" } });
});

it("keeps theirs where I say so", () => {
  expect(merged(BASE, THEIRS, MINE, new Set(["/routing/max_attempts"]))).toEqual({ name: "B", routing: { max_attempts: 4, optimize: "speed" } });
});

it("restores a member that they removed and I changed", () => {
  expect(merged({ a: { b: 1 } }, {}, { a: { b: 2 } })).toEqual({ a: { b: 2 } });
});

it("says what is wrong with JSON", () => {
  expect(parseObject('{"a":1}')).toEqual({ value: { a: 1 } });
  expect(parseObject("[]")).toHaveProperty("error");
  expect(parseObject("{")).toHaveProperty("error", expect.stringMatching(/^Is not JSON/));
});

it.each([
  ["Staging EU!", "staging-eu"],
  ["  --Ünïx 2 ", "n-x-2"],
  ["x".repeat(60), "x".repeat(40)],
])("makes of %j the id %j", (name, id) => {
  expect(slugOf(name)).toBe(id);
  expect(idProblem(id)).toBeUndefined();
});

it.each(["", "-a", "a-", "A", "a b", "a".repeat(41)])("refuses the id %j", (id) => {
  expect(idProblem(id)).toBeDefined();
});

it("judges buckets, ranges and scopes", () => {
  expect([bucketProblem(""), bucketProblem("my-images")]).toEqual([undefined, undefined]);
  expect(bucketProblem("A_b")).toBeDefined();
  expect([rangeProblem(null, 1, 5), rangeProblem(5, 1, 5)]).toEqual([undefined, undefined]);
  expect(rangeProblem(6_001, 1, 6_000)).toBe("Must be a whole number, 1 to 6,000.");
  expect(rangeProblem(1.5, 1, 5)).toBeDefined();
  expect(["instance", "provider:openai", "key:4fGh7kQ2mZ0a"].map(scopeProblem)).toEqual([undefined, undefined, undefined]);
  expect(scopeProblem("project:")).toBeDefined();
});

it("tells why it is paused", () => {
  expect(pauseReason("cost_guard")).toMatch(/cost guard/);
  expect(pauseReason("maintenance")).toBe("Reason: maintenance.");
  expect(pauseReason("Moved. Ask Ada!")).toBe("Reason: Moved. Ask Ada!");
  expect(pauseReason(null)).toBe("No reason was given.");
});

it("counts keys by state", () => {
  expect(keySummary({ openai: "set", ideogram: "failing", other: "missing" })).toEqual({ set: 1, wrong: ["ideogram"] });
  expect(keySummary(null)).toBeNull();
});

it("compares budgets by scope and period, and back again", () => {
  const budgets = [
    { scope: "instance", period: "day", limit_usd_micros: 5 },
    { scope: "provider:openai", period: "month", limit_usd_micros: 7 },
  ] as const;
  const map = budgetMap(budgets);
  expect(map).toEqual({ "instance per day": 5, "provider:openai per month": 7 });
  expect(budgetList(map)).toEqual(budgets);
});

it("finds the version in a 412", () => {
  expect(versionOf({ current_version: 9 })).toBe(9);
  expect(versionOf({})).toBeUndefined();
});
