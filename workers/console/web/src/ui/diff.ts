/** What differs between two or three versions of an object, member by member, as JSON pointers. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

export interface DiffRow {
  /** JSON pointer of the smallest member that differs. */
  pointer: string;
  base: Json | undefined;
  mine: Json | undefined;
  /** Present in a three-way diff only. */
  theirs?: Json | undefined;
  kind: "added" | "removed" | "changed";
  /** Changed by both, and not to the same value. */
  conflict: boolean;
}

/** Objects are compared by member, arrays and everything else as a whole: a merge patch replaces arrays whole. */
export function diff(base: unknown, mine: unknown, theirs?: unknown): DiffRow[] {
  const threeWay = theirs !== undefined;
  const rows: DiffRow[] = [];
  walk("", base as Json, mine as Json, threeWay ? (theirs as Json) : (base as Json), rows, threeWay);
  return rows;
}

function walk(at: string, base: Json | undefined, mine: Json | undefined, theirs: Json | undefined, rows: DiffRow[], threeWay: boolean): void {
  const changedByMe = !equal(base, mine);
  const changedByThem = !equal(base, theirs);
  if (!changedByMe && !changedByThem) return;
  const present = [base, mine, theirs].filter((value) => value !== undefined);
  if (at === "" || (present.length > 1 && present.every(isObject))) {
    const names = new Set(present.filter(isObject).flatMap((value) => Object.keys(value)));
    for (const name of [...names].sort()) {
      walk(`${at}/${escape(name)}`, member(base, name), member(mine, name), member(theirs, name), rows, threeWay);
    }
    return;
  }
  const now = changedByMe ? mine : theirs;
  rows.push({
    pointer: at,
    base,
    mine,
    ...(threeWay ? { theirs } : {}),
    kind: base === undefined ? "added" : now === undefined ? "removed" : "changed",
    conflict: changedByMe && changedByThem && !equal(mine, theirs),
  });
}

/** The merge patch (RFC 7396) that turns `base` into `mine`: changed members, `null` for removed ones. */
export function mergePatch(base: unknown, mine: unknown): Record<string, Json> {
  const patch: Record<string, Json> = {};
  const from = isObject(base as Json) ? (base as Record<string, Json>) : {};
  const to = isObject(mine as Json) ? (mine as Record<string, Json>) : {};
  for (const name of new Set([...Object.keys(from), ...Object.keys(to)])) {
    const [before, after] = [from[name], to[name]];
    if (equal(before, after)) continue;
    if (after === undefined) patch[name] = null;
    else if (before !== undefined && isObject(before) && isObject(after)) patch[name] = mergePatch(before, after);
    else patch[name] = after;
  }
  return patch;
}

/** A document with a merge patch applied: "apply mine on theirs". */
export function applyPatch(target: unknown, patch: unknown): Json {
  if (!isObject(patch as Json)) return patch as Json;
  const result: Record<string, Json> = isObject(target as Json) ? { ...(target as Record<string, Json>) } : {};
  for (const [name, value] of Object.entries(patch as Record<string, Json>)) {
    if (value !== null) result[name] = applyPatch(result[name], value);
  }
  return Object.fromEntries(Object.entries(result).filter(([name]) => (patch as Record<string, Json>)[name] !== null));
}

export function equal(a: Json | undefined, b: Json | undefined): boolean {
  if (Object.is(a, b)) return true;
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, at) => equal(item as Json, b[at] as Json));
  if (!isObject(a) || !isObject(b)) return false;
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => name in b && equal(a[name], b[name]));
}

/** A value as people read it: a list of words without brackets and quotes, JSON only for what has members. */
export function shownValue(value: Json): string {
  if (typeof value === "string") return value === "" ? "(empty)" : value;
  if (Array.isArray(value) && value.every((item) => typeof item !== "object" || item === null)) return value.length === 0 ? "(none)" : value.join(", ");
  return JSON.stringify(value, null, 2);
}

function isObject(value: Json | undefined): value is { readonly [name: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function member(value: Json | undefined, name: string): Json | undefined {
  return isObject(value) ? value[name] : undefined;
}

function escape(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}
