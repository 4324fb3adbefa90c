import { expect, it } from "vitest";
import { bytes, count, percent, plural } from "./bytes";

it.each([
  [null, "–"],
  [0, "0 B"],
  [999, "999 B"],
  [1_000, "1.0 kB"],
  [999_499, "999 kB"],
  [999_500, "1.0 MB"],
  [1_234_567, "1.2 MB"],
  [52 * 1024 * 1024, "54.5 MB"],
  [3_000_000_000_000_000, "3000 TB"],
])("%s bytes read %s", (value, text) => {
  expect(bytes(value)).toBe(text);
});

it("counts, shares and plurals", () => {
  expect(count(12_340)).toBe("12,340");
  expect(count(undefined)).toBe("–");
  expect(percent(0.125)).toBe("12.5%");
  expect(percent(1)).toBe("100%");
  expect(plural(1, "key")).toBe("1 key");
  expect(plural(2_000, "entry", "entries")).toBe("2,000 entries");
});
