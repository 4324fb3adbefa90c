/** Provider keys as they are shown: what a state means, and what to do. */
import type { components } from "../../api/generated/config-service";
import type { Tone } from "../../ui";

export type ProviderKey = components["schemas"]["ProviderKey"];

/** Adapters that the platform has: each takes a key without being configured. */
export const ADAPTERS = ["ideogram", "openai"] as const;

export const KEY_STATE: Readonly<Record<ProviderKey["state"], { tone: Tone; text: string; advice: string }>> = {
  set: { tone: "good", text: "Set", advice: "" },
  missing: { tone: "warn", text: "Missing", advice: "Set a key before requests can be sent to it." },
  host_changed: {
    tone: "bad", text: "Host changed",
    advice: "The provider's base URL moved to another host since the key was entered, so it is not sent there. Enter it again for the new host.",
  },
  failing: { tone: "bad", text: "Refused", advice: "The provider refused the key lately. Check it at the provider and enter a good one." },
};

export function maskOf(key: Pick<ProviderKey, "state" | "last4">): string | null {
  if (key.last4 === null) return null;
  return `****${key.last4}`;
}

/** The providers that a key can be set for: those that are listed, and the adapters. */
export function providersFor(keys: readonly Pick<ProviderKey, "provider">[]): string[] {
  return [...new Set([...keys.map((key) => key.provider), ...ADAPTERS])].sort();
}

export const OVERLAPS = [
  { value: "3600", label: "1 hour" },
  { value: "86400", label: "1 day" },
  { value: "259200", label: "3 days" },
  { value: "604800", label: "7 days" },
] as const;

/** What a key cannot be, without saying what it is. */
export function keyProblem(value: string): string | undefined {
  const text = value.trim();
  if (text === "") return "Enter the key.";
   
  if (/[\u0000-\u001f\u007f]/.test(text)) return "The key has control characters: copy it again.";
  if (/^sy_[^_]+_.+/.test(text)) return "This is a key of Switchyard. Enter the provider's key.";
  return undefined;
}
