/**
 * The form of an API key, as `crates/auth/src/key.rs` checks it: `sy_<key id: 12>_<secret: 43><crc: 6>`, base 62.
 * A mistyped key is refused here, before any request.
 */
const PREFIX = "sy_";
const KEY_BYTES = 65;
const CRC_DIGITS = 6;
const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

export type KeyFault = "empty" | "prefix" | "length" | "alphabet" | "checksum";

/** What is wrong with the form, or `null`. White space around it, as a copy brings along, is no fault. */
export function keyFault(input: string): KeyFault | null {
  const key = input.trim();
  if (key === "") return "empty";
  if (!key.startsWith(PREFIX)) return "prefix";
  if (key.length !== KEY_BYTES) return "length";
  if (!/^sy_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$/.test(key)) return "alphabet";
  const body = key.slice(0, KEY_BYTES - CRC_DIGITS);
  return sixDigits(crc32(body)) === key.slice(KEY_BYTES - CRC_DIGITS) ? null : "checksum";
}

/** The fault in words, with what to do. */
export function keyFaultText(input: string): string | null {
  const key = input.trim();
  switch (keyFault(input)) {
    case null:
      return null;
    case "empty":
      return "Enter an API key.";
    case "prefix":
      return "An API key begins with “sy_”. Copy the whole key.";
    case "length":
      return `An API key has ${KEY_BYTES} characters, this text has ${key.length}. Copy the whole key.`;
    case "alphabet":
      return "An API key consists of letters and digits, with “_” after the 15th character. Copy the key again.";
    case "checksum":
      return "The checksum of this key is wrong, so a character is mistyped. Copy the key again.";
  }
}

/** The public id in a key of the right form. */
export function keyIdOf(key: string): string {
  return key.slice(PREFIX.length, PREFIX.length + 12);
}

/** CRC-32 (IEEE 802.3) of ASCII text. */
export function crc32(text: string): number {
  let crc = 0xffff_ffff;
  for (let at = 0; at < text.length; at += 1) {
    crc ^= text.charCodeAt(at);
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (0xedb8_8320 & -(crc & 1));
  }
  return (crc ^ 0xffff_ffff) >>> 0;
}

export function sixDigits(value: number): string {
  let rest = value;
  let text = "";
  for (let digit = 0; digit < CRC_DIGITS; digit += 1) {
    text = (DIGITS[rest % 62] ?? "") + text;
    rest = Math.floor(rest / 62);
  }
  return text;
}
