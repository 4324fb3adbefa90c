const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** Decimal units, as R2 and the invoices count: `820 B`, `1.2 MB`. */
export function bytes(count: number | null | undefined): string {
  if (count === null || count === undefined || !Number.isFinite(count)) return "–";
  let value = count;
  let unit = 0;
  while (Math.abs(value) >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || Math.abs(value) >= 99.95 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit] ?? ""}`;
}

/** `12,340`; what is not known is a dash. */
export function count(value: number | null | undefined): string {
  return value === null || value === undefined || !Number.isFinite(value) ? "–" : value.toLocaleString("en-US");
}

/** A share of 1 as `12.5%`, without a decimal where it is whole. */
export function percent(share: number | null | undefined): string {
  if (share === null || share === undefined || !Number.isFinite(share)) return "–";
  return `${(share * 100).toFixed(1).replace(/\.0$/, "")}%`;
}

/** `1 key`, `2 keys`; a plural that is not formed by `s` is said. */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}
