/** Times: local for reading, UTC for comparing, relative for "how long ago". Input is RFC 3339 or milliseconds. */
export type Instant = string | number | Date | null | undefined;

export function toDate(instant: Instant): Date | null {
  if (instant === null || instant === undefined || instant === "") return null;
  const date = new Date(instant);
  return Number.isNaN(date.getTime()) ? null : date;
}

const DATE: Intl.DateTimeFormatOptions = { day: "2-digit", month: "short", year: "numeric" };
const TIME: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false };

/** `27 Nov 2026, 10:12:03` in the zone of this browser (or in `zone`). */
export function localTime(instant: Instant, zone?: string): string {
  return shown(instant, { ...DATE, ...TIME }, zone);
}

export function localDate(instant: Instant, zone?: string): string {
  return shown(instant, DATE, zone);
}

export function clockTime(instant: Instant, zone?: string): string {
  return shown(instant, TIME, zone);
}

/** `2026-11-27 10:12:03 UTC`. */
export function utcTime(instant: Instant): string {
  const date = toDate(instant);
  return date === null ? "–" : `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

function shown(instant: Instant, options: Intl.DateTimeFormatOptions, zone?: string): string {
  const date = toDate(instant);
  if (date === null) return "–";
  return new Intl.DateTimeFormat("en-GB", zone === undefined ? options : { ...options, timeZone: zone }).format(date);
}

const STEPS: [limit: number, unit: string, ms: number][] = [
  [60_000, "s", 1_000],
  [3_600_000, "min", 60_000],
  [86_400_000, "h", 3_600_000],
  [30 * 86_400_000, "d", 86_400_000],
  [365 * 86_400_000, "mo", 30 * 86_400_000],
  [Number.POSITIVE_INFINITY, "y", 365 * 86_400_000],
];
/** `just now`, `12 s ago`, `in 3 h`. */
export function relativeTime(instant: Instant, now: number): string {
  const date = toDate(instant);
  if (date === null) return "never";
  const distance = date.getTime() - now;
  const size = Math.abs(distance);
  if (size < 5_000) return "just now";
  for (const [limit, unit, ms] of STEPS) {
    if (size >= limit) continue;
    const text = `${Math.floor(size / ms)} ${unit}`;
    return distance < 0 ? `${text} ago` : `in ${text}`;
  }
  return localDate(date);
}
