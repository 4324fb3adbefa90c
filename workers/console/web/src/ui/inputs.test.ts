import { expect, it } from "vitest";
import { typedNumber } from "./inputs";

const typed = (value: string, badInput = false) => typedNumber({ value, validity: { badInput } });

it("a text that is no number is neither empty nor a number", () => {
  // The browser hides the text "5e" behind an empty value.
  expect(typed("", true)).toBeNaN();
  expect(typed("")).toBeNull();
  expect(typed("5")).toBe(5);
  expect(typed("1.5")).toBe(1.5);
});
