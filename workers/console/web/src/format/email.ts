/** The rule that an email address breaks, or `undefined`. */
export function emailFault(email: string): string | undefined {
  const text = email.trim();
  if (text === "") return "Enter an email address.";
  if (new TextEncoder().encode(text).length > 254) return "An email address has 254 bytes at most.";
  if (!/^[^\s@]+@[^\s@]+$/.test(text)) return "An email address has one “@” with text on both sides.";
  return undefined;
}
