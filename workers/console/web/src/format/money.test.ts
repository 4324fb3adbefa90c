import { expect, it } from "vitest";
import { money, parseMoney } from "./money";

it.each([
  [null, "unknown"],
  [undefined, "unknown"],
  [Number.NaN, "unknown"],
  [0, "$0.00"],
  [1, "$0.000001"],
  [12, "$0.000012"],
  [400, "$0.0004"],
  [3_900, "$0.0039"],
  [40_120, "$0.04012"],
  [40_123.4, "$0.04012"],
  [100_000, "$0.10"],
  [999_940, "$0.9999"],
  [1_000_000, "$1.00"],
  [1_204_999, "$1.20"],
  [12_340_000_000, "$12,340.00"],
  [-40_000, "−$0.04"],
])("%s micro-dollars read %s", (micros, text) => {
  expect(money(micros)).toBe(text);
});

it.each([
  ["1", 1_000_000],
  ["$0.04", 40_000],
  ["1,200.5", 1_200_500_000],
  ["$10,000,000", 10_000_000_000_000],
  ["0.000001", 1],
  ["2.", 2_000_000],
])("%s is %i micro-dollars", (text, micros) => {
  expect(parseMoney(text)).toBe(micros);
});

// Where a comma is the decimal point, stripping it would spend a hundred times as much.
it.each(["", "-1", "1.0000001", "one", "1e3", "$", "0,05", "12,50", "0,050", "1,2,3", "1,2345", "1200,500", "1,,200", "1.000,50"])("%j is no amount", (text) => {
  expect(parseMoney(text)).toBeNull();
});
