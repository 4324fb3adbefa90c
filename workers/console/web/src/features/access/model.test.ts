import { describe, expect, test } from "vitest";
import { emailFault } from "../../format/email";
import {
  accessChange, type Caller, dateFault, describeScopes, endOf, grantable, grantsByUser, isLastAdmin,
  keyGuard, type KeyMembers, nameFault, narrowOnto, nextCell, rolesFor, rotationPlan, scopesOf, unusedDays, userGuard,
} from "./model";
import type { ApiKey } from "./types";

const NOW = Date.parse("2026-11-27T12:00:00.000Z");
const admin: Caller = { userId: "u1", keyId: "k1", role: "admin", permissions: ["config:write", "keys:write", "images:read"] };
const key: ApiKey = {
  key_id: "k2", name: "laptop", last4: "k9Qz", user_id: "u2", project_id: null, scopes: ["*"], instance_ids: null,
  created_by: "key:k1", created_at: "2026-01-01T00:00:00.000Z", last_used_at: null, expires_at: null, state: "active",
  secret_version: 1, secret_first_used_at: null, rotated_at: null, prev_expires_at: null, revoked_at: null, version: 1,
};

describe("scopes", () => {
  test("a role bounds them, and a project's key cannot give keys", () => {
    expect(scopesOf("user", "user")).toContain("keys:write");
    expect(scopesOf("user", "user")).not.toContain("config:write");
    expect(scopesOf("admin", "user")).toHaveLength(13);
    expect(scopesOf("admin", "project")).not.toContain("keys:write");
  });
  test("nobody grants what his own key lacks", () => {
    expect(grantable(["images:read", "images:write"], ["images:read"])).toEqual(["images:read"]);
    expect(grantable(["images:read", "images:write"], ["*"])).toEqual(["images:read", "images:write"]);
  });
  test("long lists are shortened", () => {
    expect(describeScopes(["*"])).toBe("All of the role");
    expect(describeScopes(["images:read", "images:write", "tasks:read"])).toBe("images:read, images:write +1");
  });
});

describe("guards", () => {
  test("the own role, status and account are refused with who can do it", () => {
    for (const what of ["role", "status", "delete"] as const) {
      expect(userGuard(admin, { user_id: "u1", role: "admin" }, what)).toContain("Another administrator can");
    }
    expect(userGuard(admin, { user_id: "u2", role: "user" }, "delete")).toBeUndefined();
  });
  test("a missing scope is named", () => {
    expect(userGuard({ ...admin, permissions: [] }, { user_id: "u2", role: "user" }, "role")).toContain("config:write");
    expect(keyGuard({ ...admin, permissions: [] }, key, "rotate")).toContain("keys:write");
  });
  test("the last active administrator is found; a disabled one does not count", () => {
    const last = { user_id: "u1", role: "admin", status: "active" } as const;
    expect(isLastAdmin(last, [{ user_id: "u1" }])).toBe(true);
    expect(isLastAdmin(last, [{ user_id: "u1" }, { user_id: "u3" }])).toBe(false);
    expect(isLastAdmin({ ...last, status: "disabled" }, [])).toBe(false);
    expect(isLastAdmin(last, undefined)).toBe(false);
  });
  test("the key of this session is not revoked, but rotated", () => {
    expect(keyGuard(admin, { ...key, key_id: "k1" }, "revoke")).toContain("This session acts as it");
    expect(keyGuard(admin, { ...key, key_id: "k1" }, "rotate")).toBeUndefined();
  });
  test("an ended key is neither rotated nor narrowed; an orphaned one can be revoked", () => {
    expect(keyGuard(admin, { ...key, state: "expired" }, "rotate")).toContain("Create a new key");
    expect(keyGuard(admin, { ...key, state: "orphaned" }, "narrow")).toContain("Enable the owner");
    expect(keyGuard(admin, { ...key, state: "orphaned" }, "revoke")).toBeUndefined();
    expect(keyGuard(admin, { ...key, state: "revoked" }, "revoke")).toBeDefined();
  });
  test("nobody becomes or stops being a superadmin", () => {
    expect(rolesFor(admin)).toEqual(["user", "admin"]);
    expect(rolesFor({ ...admin, role: "superadmin" })).toContain("superadmin");
    expect(rolesFor({ ...admin, role: "superadmin" }, "user")).not.toContain("superadmin");
    expect(rolesFor(admin, "superadmin")).toEqual(["superadmin"]);
  });
});

describe("ends", () => {
  test("days count from now, a day ends with its last second, never is null", () => {
    expect(endOf("7", "", NOW)).toBe("2026-12-04T12:00:00.000Z");
    expect(endOf("date", "2027-02-01", NOW)).toBe("2027-02-01T23:59:59.000Z");
    expect(endOf("never", "", NOW)).toBeNull();
  });
  test("a day that is over, missing or too far is refused", () => {
    expect(dateFault("2026-11-26", NOW)).toBeDefined();
    expect(dateFault("", NOW)).toBeDefined();
    expect(dateFault("2032-01-01", NOW)).toContain("five years");
    expect(dateFault("2026-11-27", NOW)).toBeUndefined();
  });
  test("only keys that work count as unused", () => {
    expect(unusedDays(key, NOW)).toBe(330);
    expect(unusedDays({ ...key, last_used_at: "2026-11-01T00:00:00.000Z" }, NOW)).toBeNull();
    expect(unusedDays({ ...key, state: "revoked" }, NOW)).toBeNull();
  });
});

describe("rotation", () => {
  test("the old secret works for the overlap, never past the end of the key", () => {
    expect(rotationPlan(key, 3600, false, NOW)).toEqual({ kind: "overlap", oldEndsAt: "2026-11-27T13:00:00.000Z", newEndsAt: null });
    const ending = { ...key, expires_at: "2026-11-27T12:30:00.000Z" };
    expect(rotationPlan(ending, 3600, false, NOW).oldEndsAt).toBe("2026-11-27T12:30:00.000Z");
  });
  test("a new secret that was never used is replaced and the old one keeps its end", () => {
    const rotated = { ...key, secret_version: 2, prev_expires_at: "2026-11-27T18:00:00.000Z" };
    expect(rotationPlan(rotated, 0, false, NOW)).toMatchObject({ kind: "replace_unused", oldEndsAt: "2026-11-27T18:00:00.000Z" });
  });
  test("a rotation in progress needs force", () => {
    const used = { ...key, secret_version: 2, secret_first_used_at: "2026-11-27T11:00:00.000Z", prev_expires_at: "2026-11-27T18:00:00.000Z" };
    expect(rotationPlan(used, 3600, false, NOW).kind).toBe("in_progress");
    expect(rotationPlan(used, 3600, true, NOW)).toMatchObject({ kind: "overlap", oldEndsAt: "2026-11-27T13:00:00.000Z" });
  });
});

describe("the matrix", () => {
  test("grants are gathered by user, and a draft says what it changes", () => {
    const grants = grantsByUser([
      { user_id: "a", instance_id: "one" },
      { user_id: "a", instance_id: "two" },
      { user_id: "b", instance_id: "one" },
    ]);
    expect([...(grants.get("a") ?? [])]).toEqual(["one", "two"]);
    expect(accessChange(grants.get("a") ?? new Set(), new Set(["two", "three"]))).toEqual({ added: ["three"], removed: ["one"] });
  });
  test("arrows stay inside", () => {
    expect(nextCell({ row: 0, column: 0 }, "ArrowUp", 2, 3)).toBeNull();
    expect(nextCell({ row: 0, column: 0 }, "ArrowRight", 2, 3)).toEqual({ row: 0, column: 1 });
    expect(nextCell({ row: 1, column: 0 }, "End", 2, 3)).toEqual({ row: 1, column: 2 });
    expect(nextCell({ row: 1, column: 0 }, "a", 2, 3)).toBeNull();
  });
});

describe("fields", () => {
  test("rules are said in words", () => {
    expect(emailFault("")).toBeDefined();
    expect(emailFault("a@b@c")).toBeDefined();
    expect(emailFault("a@b.example")).toBeUndefined();
    expect(emailFault(`${"a".repeat(250)}@b.example`)).toContain("254");
    expect(nameFault(" ", true)).toBeDefined();
    expect(nameFault("", false)).toBeUndefined();
    expect(nameFault("x".repeat(201), false)).toContain("200");
  });
});

describe("narrowing a key that somebody else narrowed first", () => {
  const base: KeyMembers = { name: "laptop", scopes: ["images:read", "images:write", "tasks:read"], instance_ids: null, expires_at: null };
  test("what only they changed is theirs", () => {
    const theirs = { ...base, name: "desk", scopes: ["images:read"], instance_ids: ["production"], expires_at: "2027-01-01T00:00:00.000Z" };
    expect(narrowOnto(base, base, theirs)).toEqual(theirs);
  });
  test("what only I changed is mine", () => {
    const mine = { name: "server", scopes: ["tasks:read"], instance_ids: ["development"], expires_at: "2027-01-01T23:59:59.000Z" };
    expect(narrowOnto(base, mine, base)).toEqual(mine);
  });
  test("what both changed is the less of both, and never more than theirs", () => {
    const mine = { name: "mine", scopes: ["images:read", "tasks:read"], instance_ids: ["a", "b"], expires_at: "2027-06-01T00:00:00.000Z" };
    const theirs = { name: "theirs", scopes: ["images:read", "images:write"], instance_ids: ["b", "c"], expires_at: "2027-01-01T00:00:00.000Z" };
    expect(narrowOnto(base, mine, theirs)).toEqual({ name: "mine", scopes: ["images:read"], instance_ids: ["b"], expires_at: "2027-01-01T00:00:00.000Z" });
  });
});
