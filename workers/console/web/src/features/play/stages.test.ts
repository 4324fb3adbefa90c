import { describe, expect, it } from "vitest";
import type { Job } from "./model";
import { AHEAD, type Stage, stagesOfAnswer, stagesOfJob, timingsOf, totalOf } from "./stages";

const told = (stages: readonly Stage[]) => stages.map(({ label, state, ms }) => `${label} ${state}${ms === undefined ? "" : ` ${ms}`}`);

const T0 = Date.parse("2026-11-27T10:00:00.000Z");
const job = (state: Job["state"], events: [seconds: number, event: string, provider?: string][]) => ({
  state,
  created_at: new Date(T0).toISOString(),
  timeline: events.map(([seconds, event, provider]) => ({ at: new Date(T0 + seconds * 1000).toISOString(), event, ...(provider === undefined ? {} : { provider }) })),
});

describe("the header", () => {
  it("is read in its order, and what is of another form is left out", () => {
    expect(timingsOf("auth;dur=3, plan;dur=1, cache;desc=hit, total;dur=4120")).toEqual([
      { name: "auth", ms: 3 },
      { name: "plan", ms: 1 },
      { name: "total", ms: 4120 },
    ]);
    expect(timingsOf(null)).toEqual([]);
    expect(totalOf(timingsOf("auth;dur=3, total;dur=9"))).toBe(9);
  });

  it("tells each stage of a picture, and each provider that was tried", () => {
    expect(told(stagesOfAnswer(timingsOf("auth;dur=3, plan;dur=1, admit;dur=9, provider;dur=4000, store;dur=80, total;dur=4100")))).toEqual([
      "Key done 3", "Plan done 1", "Admission done 9", "Provider done 4000", "Storage done 80",
    ]);
    const twice = timingsOf("auth;dur=3, plan;dur=1, admit;dur=9, provider;dur=20, admit;dur=8, provider;dur=4000, store;dur=80");
    expect(told(stagesOfAnswer(twice)).slice(2)).toEqual(["Admission done 9", "Provider failed 20", "Admission 2 done 8", "Provider 2 done 4000", "Storage done 80"]);
  });

  it("of a failure ends with what failed", () => {
    expect(told(stagesOfAnswer(timingsOf("auth;dur=3, plan;dur=1, admit;dur=9, provider;dur=20, total;dur=33"), 502)).at(-1)).toBe("Provider failed 20");
    expect(told(stagesOfAnswer(timingsOf("auth;dur=3, plan;dur=1, total;dur=4"), 422))).toEqual(["Key done 3", "Plan failed 1"]);
    expect(told(stagesOfAnswer(timingsOf("auth;dur=3, total;dur=4"), 401))).toEqual(["Key failed 3"]);
    expect(told(stagesOfAnswer(timingsOf("auth;dur=3, total;dur=4"), 400))).toEqual(["Key done 3"]);
  });
});

describe("a job", () => {
  it("that runs shows what goes on since when, and what is ahead", () => {
    const stages = stagesOfJob(job("running", [[0, "admitted", "ideogram"], [1, "submitted"], [5, "handoff"]]), timingsOf("auth;dur=3, plan;dur=1, admit;dur=9, provider;dur=5000"));
    expect(told(stages)).toEqual(["Key done 3", "Plan done 1", "Admission done 9", "ideogram now", "Storage ahead"]);
    expect(stages[3]?.since).toBe(T0);
  });

  it("that nobody knows of counts no time", () => {
    expect(stagesOfJob(job("unknown", [[0, "admitted", "openai"], [5, "unknown"]])).find(({ state }) => state === "now")?.since).toBeUndefined();
  });

  it("over tells where its time went", () => {
    expect(told(stagesOfJob(job("succeeded", [[0, "admitted", "ideogram"], [1, "submitted"], [12, "storing"], [13, "succeeded"]])))).toEqual([
      "Admission done", "ideogram done 12000", "Storage done 1000",
    ]);
    expect(told(stagesOfJob(job("failed", [[0, "admitted", "ideogram"], [2, "fallback"], [2, "admitted", "openai"], [9, "failed"]])))).toEqual([
      "Admission done", "ideogram failed 2000", "Admission 2 done", "openai failed 7000",
    ]);
  });

  it("in the queue waits there", () => {
    expect(told(stagesOfJob(job("queued", [])))).toEqual(["Queue now", "Storage ahead"]);
  });
});

it("before anything is known all is ahead", () => {
  expect(told(AHEAD)).toEqual(["Key ahead", "Plan ahead", "Admission ahead", "Provider ahead", "Storage ahead"]);
});
