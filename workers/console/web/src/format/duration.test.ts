import { expect, it } from "vitest";
import { countdown, duration } from "./duration";

it.each([
  [null, "–"],
  [0, "0 ms"],
  [999.4, "999 ms"],
  [999.6, "1.0 s"],
  [12_340, "12.3 s"],
  [59_949, "59.9 s"],
  [59_960, "1 min 00 s"],
  [245_000, "4 min 05 s"],
  [3_599_600, "1 h 00 min"],
  [12_000_000, "3 h 20 min"],
  [187_200_000, "2 d 4 h"],
  [-1_500, "−1.5 s"],
])("%s ms read %s", (ms, text) => {
  expect(duration(ms)).toBe(text);
});

it.each([
  [-5, "0 s"],
  [1, "1 s"],
  [9_000, "9 s"],
  [59_001, "1:00"],
  [65_000, "1:05"],
  [3_609_000, "1:00:09"],
])("%s ms count down as %s", (ms, text) => {
  expect(countdown(ms)).toBe(text);
});
