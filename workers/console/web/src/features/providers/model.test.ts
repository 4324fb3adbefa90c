import { expect, it } from "vitest";
import { KEY_STATE, keyProblem, maskOf, providersFor } from "./model";

it("offers what is listed and the adapters, once each", () => {
  expect(providersFor([{ provider: "openai" }, { provider: "azure" }])).toEqual(["azure", "ideogram", "openai"]);
});

it("masks a key, however short", () => {
  expect(maskOf({ state: "set", last4: "9f2c" })).toBe("****9f2c");
  expect(maskOf({ state: "set", last4: "" })).toBe("****");
  expect(maskOf({ state: "missing", last4: null })).toBeNull();
});

it("refuses what is no provider's key, without repeating it", () => {
  expect(keyProblem("sk-proj-abc")).toBeUndefined();
  const platform = `sy_4fGh7kQ2mZ0a_${"x".repeat(40)}`;
  for (const bad of ["", "  ", "a\u0001b", platform]) {
    const problem = keyProblem(bad);
    expect(problem).toBeDefined();
    if (bad.trim() !== "") expect(problem).not.toContain(bad);
  }
});

it("says what to do about each state that is not good", () => {
  for (const [state, { advice }] of Object.entries(KEY_STATE)) expect(advice === "").toBe(state === "set");
});
