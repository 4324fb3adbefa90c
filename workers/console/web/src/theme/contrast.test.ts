import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const css = readFileSync(new URL("./tokens.css", import.meta.url), "utf8");

/** Name -> the colour that one theme has. */
function tokens(theme: "light" | "dark"): Map<string, string> {
  return new Map(
    [...css.matchAll(/--sy-([a-z0-9-]+): (?:light-dark\(([^,]+), ([^,]+)\)|([^;]+));/g)].map(
      ([, name = "", light, dark, both = ""]) => [name, (theme === "light" ? light : dark) ?? both],
    ),
  );
}

function luminance(hex: string): number {
  const channels = [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16) / 255);
  const [r = 0, g = 0, b = 0] = channels.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** WCAG 2.2, "contrast ratio". */
function contrast(a: string, b: string): number {
  const [high = 0, low = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}

const grounds = ["canvas", "surface", "raised", "sunken", "hover", "selected"];
const texts: [string, string[]][] = [
  ["text", grounds],
  ["muted", grounds],
  ["faint", ["canvas", "surface", "raised", "sunken"]],
  ["link", grounds],
  ["on-accent", ["accent", "accent-strong"]],
  ["on-danger", ["danger", "danger-strong"]],
  ...["good", "warn", "bad", "info"].map((m): [string, string[]] => [m, [`${m}-ground`, ...grounds.slice(0, 5)]]),
  ...["", "-key", "-string", "-number", "-comment"].map((c): [string, string[]] => [`code${c}`, ["code-ground"]]),
  ["text", ["good-ground", "warn-ground", "bad-ground", "info-ground"]],
];
const boundaries: [string, string[]][] = [
  ["control", ["canvas", "surface", "raised"]],
  ["focus", grounds],
];

describe.each(["light", "dark"] as const)("%s", (name) => {
  const theme = tokens(name);
  const ratio = (a: string, b: string) => contrast(theme.get(a) ?? "", theme.get(b) ?? "");
  it.each(texts.flatMap(([text, on]) => on.map((ground) => [text, ground])))("%s is legible on %s", (text = "", ground = "") => {
    expect(ratio(text, ground)).toBeGreaterThanOrEqual(4.5);
  });
  it.each(boundaries.flatMap(([line, on]) => on.map((ground) => [line, ground])))("%s shows on %s", (line = "", ground = "") => {
    expect(ratio(line, ground)).toBeGreaterThanOrEqual(3);
  });
});
