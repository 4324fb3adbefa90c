/**
 * Search parameters: read from the address as text, checked by a schema, dropped when they are wrong.
 *
 * A page never fails because of its address; the frame shows which parameters were ignored.
 */
import * as z from "zod/mini";

type Raw = Readonly<Record<string, unknown>>;

/** A text; numbers and flags in the address are texts too. Empty is as if it were not there. */
export const text = z.pipe(
  z.transform((value) => (typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? String(value) : value)),
  z.string().check(z.minLength(1), z.maxLength(500)),
);

export function oneOf<const Values extends readonly [string, ...string[]]>(...values: Values) {
  return z.enum(values);
}

export function int(min: number, max: number) {
  return z.pipe(
    z.transform((value) => (typeof value === "string" && /^-?\d+$/.test(value) ? Number(value) : value)),
    z.int().check(z.minimum(min), z.maximum(max)),
  );
}

/** `1` or absent. */
export const flag = z.pipe(
  z.transform((value) => value === true || value === "1" || value === "true" || value === 1),
  z.literal(true),
);

/** Several values: `a,b`. */
export const list = z.pipe(
  z.transform((value) => (typeof value === "string" ? value.split(",").filter(Boolean) : value)),
  z.array(z.string()).check(z.minLength(1), z.maxLength(100)),
);

type Fields = Readonly<Record<string, z.core.$ZodType>>;
export type SearchOf<Shape extends Fields> = { -readonly [Name in keyof Shape]?: z.output<Shape[Name]> | undefined };

/** `validateSearch` of a route: what the schema takes, nothing else. */
export function searchOf<Shape extends Fields>(shape: Shape): (raw: Record<string, unknown>) => SearchOf<Shape> {
  return (raw) => {
    const found: Record<string, unknown> = {};
    for (const [name, schema] of Object.entries(shape)) {
      if (raw[name] === undefined) continue;
      const parsed = z.safeParse(schema, raw[name]);
      if (parsed.success) found[name] = parsed.data;
    }
    return found as SearchOf<Shape>;
  };
}

/** The address's search part as texts; a name that is repeated counts once, the last one. */
export function parseSearch(search: string): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(search));
}

export function stringifySearch(search: Raw): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(search)) {
    if (value === undefined || value === null || value === "" || value === false) continue;
    const text = Array.isArray(value) ? value.join(",") : value === true ? "1" : `${value as string | number}`;
    if (text !== "") params.set(name, text);
  }
  const written = params.toString().replaceAll("%2C", ",").replaceAll("%2F", "/").replaceAll("%3A", ":");
  return written === "" ? "" : `?${written}`;
}

/** Names in the address that no schema took. */
export function dropped(raw: Raw, taken: Raw): string[] {
  return Object.keys(raw).filter((name) => raw[name] !== "" && taken[name] === undefined);
}
