import { expect, it } from "vitest";
import { applyPatch, diff, equal, mergePatch, shownValue } from "./diff";

const base = { name: "Production", limits: { rpm: 60, burst: 5 }, tags: ["a"], note: "x" };

it("names the smallest member that differs", () => {
  const mine = { name: "Production", limits: { rpm: 90, burst: 5, day: 1000 }, tags: ["a", "b"] };
  expect(diff(base, mine)).toEqual([
    { pointer: "/limits/day", base: undefined, mine: 1000, kind: "added", conflict: false },
    { pointer: "/limits/rpm", base: 60, mine: 90, kind: "changed", conflict: false },
    { pointer: "/note", base: "x", mine: undefined, kind: "removed", conflict: false },
    { pointer: "/tags", base: ["a"], mine: ["a", "b"], kind: "changed", conflict: false },
  ]);
});

it("marks what both changed differently as a conflict", () => {
  const mine = { ...base, limits: { rpm: 90, burst: 5 }, note: "y" };
  const theirs = { ...base, limits: { rpm: 70, burst: 9 }, note: "y" };
  expect(diff(base, mine, theirs).map((row) => [row.pointer, row.theirs, row.conflict])).toEqual([
    ["/limits/burst", 9, false],
    ["/limits/rpm", 70, true],
    ["/note", "y", false],
  ]);
});

it("finds nothing in equal objects, whatever the order of their members", () => {
  expect(diff({ a: 1, b: { c: [1, { d: null }] } }, { b: { c: [1, { d: null }] }, a: 1 })).toEqual([]);
  expect(equal([1, 2], [2, 1])).toBe(false);
  expect(equal({ a: 1 }, { b: 1 })).toBe(false);
});

it("escapes names in pointers", () => {
  expect(diff({}, { "a/b~c": 1 })[0]?.pointer).toBe("/a~1b~0c");
});

it("makes a merge patch that turns the one into the other", () => {
  const mine = { name: "Production", limits: { rpm: 90 }, tags: [], extra: { a: { b: 1 } } };
  const patch = mergePatch(base, mine);
  expect(patch).toEqual({ limits: { rpm: 90, burst: null }, tags: [], note: null, extra: { a: { b: 1 } } });
  expect(applyPatch(base, patch)).toEqual(mine);
});

it("applies mine on theirs and keeps what only they changed", () => {
  const patch = mergePatch(base, { ...base, limits: { ...base.limits, rpm: 90 } });
  const theirs = { ...base, name: "Prod", limits: { rpm: 70, burst: 9 } };
  expect(applyPatch(theirs, patch)).toEqual({ ...theirs, limits: { rpm: 90, burst: 9 } });
});

it("shows lists as words, and JSON only for what has members", () => {
  expect(shownValue(["images:read", "tasks:read"])).toBe("images:read, tasks:read");
  expect(shownValue([])).toBe("(none)");
  expect(shownValue("")).toBe("(empty)");
  expect(shownValue(null)).toBe("null");
  expect(shownValue([{ rpm: 60 }])).toBe('[\n  {\n    "rpm": 60\n  }\n]');
});
