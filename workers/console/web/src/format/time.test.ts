import { expect, it } from "vitest";
import { clockTime, localDate, localTime, relativeTime, toDate, utcTime } from "./time";

const AT = "2026-11-27T10:12:03.450Z";

it("reads a time in a zone and in UTC", () => {
  expect(localTime(AT, "Europe/Berlin")).toBe("27 Nov 2026, 11:12:03");
  expect(localDate(AT, "Asia/Tokyo")).toBe("27 Nov 2026");
  expect(clockTime(AT, "UTC")).toBe("10:12:03");
  expect(utcTime(AT)).toBe("2026-11-27 10:12:03 UTC");
});

it.each([null, undefined, "", "yesterday"])("%j is no time", (instant) => {
  expect(toDate(instant)).toBeNull();
  expect(utcTime(instant)).toBe("–");
  expect(localTime(instant)).toBe("–");
});

it.each([
  [0, "just now"],
  [-4_999, "just now"],
  [-12_400, "12 s ago"],
  [-90_000, "1 min ago"],
  [-3 * 3_600_000, "3 h ago"],
  [2 * 86_400_000, "in 2 d"],
  [-45 * 86_400_000, "1 mo ago"],
  [800 * 86_400_000, "in 2 y"],
])("%i ms away is %s", (distance, text) => {
  const now = Date.parse(AT);
  expect(relativeTime(now + distance, now)).toBe(text);
});

it("says never for what did not happen", () => {
  expect(relativeTime(null, 0)).toBe("never");
});
