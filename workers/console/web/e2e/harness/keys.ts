/** Keys for tests: of the right form and unknown everywhere. */
import { crc32, sixDigits } from "../../src/format/api_key";

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

export function unknownKey(): string {
  const random = crypto.getRandomValues(new Uint8Array(55));
  const digits = [...random].map((byte) => DIGITS[byte % 62] ?? "0").join("");
  const body = `sy_${digits.slice(0, 12)}_${digits.slice(12)}`;
  return body + sixDigits(crc32(body));
}

/** The same key with its last character changed: the checksum is wrong. */
export function mistyped(key: string): string {
  return key.slice(0, -1) + (key.endsWith("0") ? "1" : "0");
}
