/**
 * What the pages of users and keys decide: scopes by role, guards with their reasons, states, deadlines, the matrix.
 *
 * In scope: pure functions. The server decides again; a guard here explains before the click.
 */
import type { ApiKey, Grant, KeyState, Role, Scope, User } from "./types";

const DAY_MS = 86_400_000;

/** Scopes in the order of the permission table, each with what it allows. */
export const SCOPES: readonly { scope: Scope; allows: string }[] = [
  { scope: "images:read", allows: "See images and their jobs" },
  { scope: "images:write", allows: "Make and delete images" },
  { scope: "tasks:read", allows: "See tasks" },
  { scope: "tasks:write", allows: "Create and change tasks" },
  { scope: "repo:read", allows: "See repository runs" },
  { scope: "repo:write", allows: "Start repository runs" },
  { scope: "telemetry:read", allows: "See logs and metrics" },
  { scope: "telemetry:write", allows: "Send logs and metrics" },
  { scope: "config:read", allows: "See instances, projects, users" },
  { scope: "keys:write", allows: "Create, rotate, revoke API keys" },
  { scope: "config:write", allows: "Change instances, projects, users" },
  { scope: "secrets:write", allows: "Set and rotate provider keys" },
  { scope: "audit:read", allows: "Read the audit log" },
];

export type OwnerKind = "user" | "project";

/** Scopes that an owner's key can have at most: as `limits` of config-service. */
export function scopesOf(role: Role, owner: OwnerKind): Scope[] {
  const last = owner === "project" ? 9 : role === "user" ? 10 : SCOPES.length;
  return SCOPES.slice(0, last).map((one) => one.scope);
}

/** What a project's key gets when nothing is chosen; a person's key gets all that the role allows. */
export const PROJECT_SCOPES: readonly Scope[] = [
  "images:read",
  "images:write",
  "tasks:read",
  "tasks:write",
  "repo:read",
  "repo:write",
  "telemetry:read",
];

/** Of these scopes, those that the caller has: nobody gives a key more than his own can do. */
export function grantable(scopes: readonly Scope[], permissions: readonly string[]): Scope[] {
  return permissions.includes("*") ? [...scopes] : scopes.filter((scope) => permissions.includes(scope));
}

export function describeScopes(scopes: readonly Scope[]): string {
  if (scopes.includes("*")) return "All of the role";
  return scopes.length <= 2 ? scopes.join(", ") : `${scopes.slice(0, 2).join(", ")} +${scopes.length - 2}`;
}

export const STATES: Readonly<Record<KeyState, { tone: "good" | "warn" | "bad" | "info" | "neutral"; word: string; means: string }>> = {
  active: { tone: "good", word: "Active", means: "It works." },
  rotating: { tone: "info", word: "Rotating", means: "Its current and its previous secret both work." },
  expiring: { tone: "warn", word: "Expiring", means: "It ends within 7 days." },
  expired: { tone: "neutral", word: "Expired", means: "Its end has passed. It cannot be used again." },
  revoked: { tone: "bad", word: "Revoked", means: "It was ended for good." },
  orphaned: { tone: "bad", word: "Orphaned", means: "Its user, project or organization is not active." },
};

export function works(state: KeyState): boolean {
  return state === "active" || state === "rotating" || state === "expiring";
}

/** Days since the last use, or since it was made when it was never used; only of keys that work, and from 90 on. */
export function unusedDays(key: Pick<ApiKey, "state" | "last_used_at" | "created_at">, now: number): number | null {
  if (!works(key.state)) return null;
  const days = Math.floor((now - Date.parse(key.last_used_at ?? key.created_at)) / DAY_MS);
  return days >= 90 ? days : null;
}

/** The caller, as far as guards ask. */
export interface Caller {
  userId: string;
  keyId: string;
  role: Role;
  permissions: readonly string[];
}

function has(caller: Caller, scope: string): boolean {
  return caller.permissions.includes(scope) || caller.permissions.includes("*");
}

/** Why the caller cannot change role or status of the user, or delete it; `undefined` when nothing known is against it. */
export function userGuard(caller: Caller, user: Pick<User, "user_id" | "role">, what: "role" | "status" | "delete"): string | undefined {
  if (!has(caller, "config:write")) return "Your key lacks the scope config:write.";
  if (user.user_id !== caller.userId) return undefined;
  if (what === "delete") return "Nobody deletes himself. Another administrator can.";
  return `Nobody changes his own ${what}. Another administrator can.`;
}

/** Whether the user would leave the organization, or the platform, without an active administrator. */
export function isLastAdmin(user: Pick<User, "user_id" | "role" | "status">, activeAdmins: readonly Pick<User, "user_id">[] | undefined): boolean {
  if (user.role === "user" || user.status !== "active" || activeAdmins === undefined) return false;
  return activeAdmins.every((admin) => admin.user_id === user.user_id);
}

export const LAST_ADMIN = "This is the last active administrator. Make somebody else an administrator first.";

export type KeyAction = "rotate" | "narrow" | "revoke";

/** Why the caller cannot do that with the key; `undefined` when nothing known is against it. */
export function keyGuard(caller: Caller, key: Pick<ApiKey, "key_id" | "state">, what: KeyAction): string | undefined {
  if (!has(caller, "keys:write")) return "Your key lacks the scope keys:write.";
  if (what === "revoke") {
    if (key.state === "revoked") return "It is revoked already.";
    if (key.key_id === caller.keyId) return "This session acts as it. Sign in with another key to revoke it.";
    return undefined;
  }
  if (works(key.state)) return undefined;
  if (key.state === "orphaned") return "Its owner is not active. Enable the owner first.";
  return "It does not work any more. Create a new key.";
}

/** What can be changed about a key: its name freely, the rest only to less. */
export interface KeyMembers {
  name: string;
  scopes: readonly string[];
  /** `null`: all instances. */
  instance_ids: readonly string[] | null;
  expires_at: string | null;
}

/** Mine on theirs: what was changed here stands as far as their version, which is a narrowed one itself, still has it. */
export function narrowOnto(base: KeyMembers, mine: KeyMembers, theirs: KeyMembers): KeyMembers {
  const less = (own: readonly string[], standing: readonly string[]) => own.filter((one) => standing.includes(one));
  const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
  const reach = mine.instance_ids === null || same(mine.instance_ids, base.instance_ids) ? theirs.instance_ids : mine.instance_ids;
  const ends = [mine.expires_at, theirs.expires_at].filter((end) => end !== null).sort();
  return {
    name: mine.name === base.name ? theirs.name : mine.name,
    scopes: same(mine.scopes, base.scopes) ? theirs.scopes : less(mine.scopes, theirs.scopes),
    instance_ids: reach === null || theirs.instance_ids === null ? reach : less(reach, theirs.instance_ids),
    expires_at: same(mine.expires_at, base.expires_at) ? theirs.expires_at : (ends[0] ?? null),
  };
}

/** Roles that the caller may give. Superadmins belong to no organization, so nobody changes into one or out of it. */
export function rolesFor(caller: Caller, current?: Role): Role[] {
  if (current === "superadmin") return ["superadmin"];
  if (current === undefined && caller.role === "superadmin") return ["user", "admin", "superadmin"];
  return ["user", "admin"];
}

export const ROLE_WORD: Readonly<Record<Role, string>> = { user: "User", admin: "Admin", superadmin: "Superadmin" };

export const ROLE_MEANS: Readonly<Record<Role, string>> = {
  user: "Works in the instances that are assigned.",
  admin: "Administers the organization; has all of its instances.",
  superadmin: "Runs the platform; belongs to no organization.",
};

/** A life of a key, in days; `never` and `date` are said as such. */
export const LIVES = ["7", "30", "90", "365", "never", "date"] as const;
export type Life = (typeof LIVES)[number];

/** The end of a key as RFC 3339: of a number of days from now, or the last moment of a chosen UTC day. */
export function endOf(life: Life, date: string, now: number): string | null {
  if (life === "never") return null;
  if (life === "date") return `${date}T23:59:59.000Z`;
  return new Date(now + Number(life) * DAY_MS).toISOString();
}

/** The rule that a chosen day breaks, or `undefined`. A key lives five years at most. */
export function dateFault(date: string, now: number): string | undefined {
  const end = Date.parse(`${date}T23:59:59.000Z`);
  if (Number.isNaN(end)) return "Choose a day.";
  if (end <= now) return "Choose a day that is not over.";
  if (end - now > 5 * 365 * DAY_MS) return "Choose a day within five years.";
  return undefined;
}

export const OVERLAPS = [
  { value: "0", label: "None: the old secret ends now" },
  { value: "3600", label: "1 hour" },
  { value: "86400", label: "1 day" },
  { value: "259200", label: "3 days" },
  { value: "604800", label: "7 days" },
] as const;

export interface RotationPlan {
  kind: "overlap" | "replace_unused" | "in_progress";
  /** When the secret that is used now, or the one before it, ends; `null`: there is none that still works. */
  oldEndsAt: string | null;
  /** When the new secret ends; `null`: never. */
  newEndsAt: string | null;
}

/** What a rotation will do, as the server plans it. `in_progress` needs `force`. */
export function rotationPlan(key: ApiKey, overlapS: number, force: boolean, now: number): RotationPlan {
  const newEndsAt = key.expires_at;
  if (key.secret_first_used_at === null && key.secret_version > 1) {
    return { kind: "replace_unused", oldEndsAt: key.prev_expires_at, newEndsAt };
  }
  if (key.prev_expires_at !== null && !force) return { kind: "in_progress", oldEndsAt: key.prev_expires_at, newEndsAt };
  const wanted = now + overlapS * 1000;
  const end = newEndsAt === null ? wanted : Math.min(wanted, Date.parse(newEndsAt));
  return { kind: "overlap", oldEndsAt: new Date(end).toISOString(), newEndsAt };
}

/** Rows of the matrix: which instances each user may use. */
export function grantsByUser(grants: readonly Pick<Grant, "user_id" | "instance_id">[]): Map<string, Set<string>> {
  const byUser = new Map<string, Set<string>>();
  for (const { user_id, instance_id } of grants) {
    byUser.set(user_id, (byUser.get(user_id) ?? new Set()).add(instance_id));
  }
  return byUser;
}

export interface AccessChange {
  added: string[];
  removed: string[];
}

/** Instances that somebody switched on or off for a user, and has not saved. */
export type Toggles = ReadonlyMap<string, boolean>;

/** The toggles after one more; one that leads back to what stands is none. */
export function toggled(toggles: Toggles, standing: ReadonlySet<string>, id: string, on: boolean): Toggles {
  const next = new Map(toggles);
  if (standing.has(id) === on) next.delete(id);
  else next.set(id, on);
  return next;
}

/** What stands with the toggles on it: what nobody touched here stays as others left it. */
export function withToggles(standing: ReadonlySet<string>, toggles: Toggles): Set<string> {
  const next = new Set(standing);
  for (const [id, on] of toggles) {
    if (on) next.add(id);
    else next.delete(id);
  }
  return next;
}

/** What a row's draft changes against what stands. */
export function accessChange(standing: ReadonlySet<string>, draft: ReadonlySet<string>): AccessChange {
  return {
    added: [...draft].filter((id) => !standing.has(id)).sort(),
    removed: [...standing].filter((id) => !draft.has(id)).sort(),
  };
}

/** The cell that an arrow key, Home or End leads to; `null` when the key leads nowhere. */
export function nextCell(at: Cell, key: string, rows: number, columns: number): Cell | null {
  const steps: Record<string, Cell> = {
    ArrowUp: { row: at.row - 1, column: at.column },
    ArrowDown: { row: at.row + 1, column: at.column },
    ArrowLeft: { row: at.row, column: at.column - 1 },
    ArrowRight: { row: at.row, column: at.column + 1 },
    Home: { row: at.row, column: 0 },
    End: { row: at.row, column: columns - 1 },
  };
  const to = steps[key];
  if (to === undefined || to.row < 0 || to.row >= rows || to.column < 0 || to.column >= columns) return null;
  return to;
}

export interface Cell {
  row: number;
  column: number;
}

/** The rule that a name breaks, or `undefined`. */
export function nameFault(name: string, needed: boolean): string | undefined {
  if (needed && name.trim() === "") return "Enter a name; it tells this one from the others.";
  if (Array.from(name.trim()).length > 200) return "A name has 200 characters at most.";
  return undefined;
}
