import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { crc32, keyFault, keyFaultText, keyIdOf, sixDigits } from "./api_key";

/** The vector that the `auth` crate pins, read from there: two copies could drift. */
const source = readFileSync(new URL("../../../../../crates/auth/src/key.rs", import.meta.url), "utf8");
const VECTOR = /const VECTOR: &str = "([^"]+)"/.exec(source)?.[1] ?? "";

it("has the CRC-32 and the digits of the auth crate", () => {
  expect(crc32("123456789")).toBe(0xcbf4_3926);
  expect(sixDigits(61)).toBe("00000z");
  expect(sixDigits(0xffff_ffff)).toHaveLength(6);
});

it("takes the pinned vector, also with white space around it", () => {
  expect(VECTOR).toHaveLength(65);
  expect(keyFault(VECTOR)).toBeNull();
  expect(keyFault(` ${VECTOR}\n`)).toBeNull();
  expect(keyFaultText(VECTOR)).toBeNull();
  expect(keyIdOf(VECTOR)).toBe("4fGh7kQ2mZ0a");
});

it("refuses every typo of one character", () => {
  for (let at = 0; at < VECTOR.length; at += 1) {
    for (const typo of "0Zz_") {
      if (VECTOR[at] === typo) continue;
      const key = VECTOR.slice(0, at) + typo + VECTOR.slice(at + 1);
      expect(keyFault(key), key).not.toBeNull();
    }
  }
});

it.each([
  ["", "empty"],
  ["   ", "empty"],
  ["sk-proj-1234", "prefix"],
  ["sy_", "length"],
  [VECTOR.slice(0, 64), "length"],
  [`${VECTOR}x`, "length"],
  [VECTOR.replace("H", "é"), "alphabet"],
  [VECTOR.replaceAll("_", "-").replace("sy-", "sy_"), "alphabet"],
  [`${VECTOR.slice(0, 64)}c`, "checksum"],
])("%j: %s", (key, fault) => {
  expect(keyFault(key)).toBe(fault);
  expect(keyFaultText(key)).toMatch(/^(An|Enter|The) .+\.$/);
});
