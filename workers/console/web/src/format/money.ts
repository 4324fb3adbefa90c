/** Money from integer micro-dollars (1 USD = 1,000,000). An unknown price is "unknown", never $0. */

const MICROS = 1_000_000;

/** `$0.04012`, `$1.20`, `$12,340.00`: four significant digits below one dollar, cents from there on. */
export function money(micros: number | null | undefined): string {
  if (micros === null || micros === undefined || !Number.isFinite(micros)) return "unknown";
  const sign = micros < 0 ? "−" : "";
  const dollars = Math.abs(micros) / MICROS;
  if (dollars === 0) return "$0.00";
  if (dollars < 1) return `${sign}$${padCents(trimmed(dollars))}`;
  return `${sign}$${dollars.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
}

/** Four significant digits, at most the six decimals that a micro-dollar has. */
function trimmed(dollars: number): string {
  const decimals = Math.min(6, 3 - Math.floor(Math.log10(dollars)));
  return dollars.toFixed(decimals).replace(/0+$/, "");
}

function padCents(text: string): string {
  const [whole = "0", fraction = ""] = text.split(".");
  return `${whole}.${fraction.padEnd(2, "0")}`;
}

/** What a person typed as dollars, in micro-dollars; `null` if it is no amount. A comma groups thousands: "0,05" is no amount. */
export function parseMoney(text: string): number | null {
  const match = /^\$?([1-9]\d{0,2}(?:,\d{3}){1,2}|\d{1,9})(?:\.(\d{0,6}))?$/.exec(text.trim());
  if (match === null) return null;
  return Number(match[1]?.replaceAll(",", "")) * MICROS + Number((match[2] ?? "").padEnd(6, "0"));
}
