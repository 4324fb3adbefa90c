import { describe, expect, test } from "vitest";
import { probeIsDue } from "./connection";

const at = (online: boolean, lastAnswer: number) => ({ online, lastAnswer, newBuild: null });

describe("whether a page asks if the console is there", () => {
  test("after ten seconds without an answer, not before", () => {
    expect(probeIsDue(at(true, 1_000), true, 10_999)).toBe(false);
    expect(probeIsDue(at(true, 1_000), true, 11_000)).toBe(true);
  });

  test("at each look while it is away", () => {
    expect(probeIsDue(at(false, 1_000), true, 1_001)).toBe(true);
  });

  test("never in a hidden tab", () => {
    expect(probeIsDue(at(true, 0), false, 600_000)).toBe(false);
    expect(probeIsDue(at(false, 0), false, 600_000)).toBe(false);
  });
});
