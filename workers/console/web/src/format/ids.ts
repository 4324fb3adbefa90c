/** Ids are shown in monospace with the middle left out and copied whole. */
export function shortId(id: string, head = 8, tail = 4): string {
  return id.length <= head + tail + 1 ? id : `${id.slice(0, head)}…${id.slice(-tail)}`;
}

/** The public part of a key as it may be shown: `sy_4fGh..k9Qz`. */
export function maskedKey(keyId: string, last4?: string | null): string {
  return `sy_${keyId.slice(0, 4)}…${last4 ?? ""}`;
}
