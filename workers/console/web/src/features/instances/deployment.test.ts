import { expect, it } from "vitest";
import { journalSteps, plannedActions, resultFacts } from "./deployment";

it("reads the actions of a plan, each change in words", () => {
  const plan = {
    schema: 1,
    actions: [
      { op: "create", kind: "r2_bucket", name: "prod-images" },
      { op: "update", kind: "worker", name: "image-gen-production", fields: { "vars.LOG_LEVEL": { from: "INFO", to: "WARN" }, "settings.max": { from: null, to: 3 } } },
    ],
  };
  expect(plannedActions(plan)).toEqual([
    { op: "create", kind: "r2_bucket", name: "prod-images", changes: [] },
    { op: "update", kind: "worker", name: "image-gen-production", changes: ["vars.LOG_LEVEL: INFO → WARN", "settings.max: none → 3"] },
  ]);
});

it("leaves another shape alone", () => {
  for (const plan of [null, "text", {}, { actions: 1 }, { actions: [{ op: "create" }] }, { actions: ["create"] }]) expect(plannedActions(plan)).toBeNull();
  for (const journal of [null, [], [1], [{ step: "d1" }], { step: "d1" }]) expect(journalSteps(journal)).toBeNull();
  for (const result of [null, [], {}, { a: [1] }, { a: { b: { c: 1 } } }]) expect(resultFacts(result)).toBeNull();
});

it("reads a journal and a result", () => {
  expect(journalSteps([{ step: 3, status: "done", at: "2026-11-27T20:00:00Z" }, { step: "smoke", state: "failed", error: "500" }])).toEqual([
    { step: "3", state: "done", at: "2026-11-27T20:00:00Z", note: null },
    { step: "smoke", state: "failed", at: null, note: "500" },
  ]);
  expect(resultFacts({ api_calls: 61, worker_urls: { image_gen: "https://a.example" } })).toEqual([
    { name: "Api calls", value: "61" }, { name: "Worker urls: image_gen", value: "https://a.example" },
  ]);
});
