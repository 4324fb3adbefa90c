import { expect, it } from "vitest";
import { hasRole, may, type Session, sessionOf } from "./session";

const session = sessionOf({
  principal: {
    user_id: "u",
    email: "anna@acme.example",
    role: "admin",
    org_id: null,
    key_id: "4fGh7kQ2mZ0a",
    permissions: ["config:read"],
    instances: [],
  },
  session: { session_id: "s", created_at: "2026-11-27T10:00:00Z", expires_at: "2026-11-27T22:00:00Z" },
  environment: "local",
  git_sha: "ab12cd3",
  simulator: true,
});

it("reads the document of /auth/session", () => {
  expect(session).toMatchObject({ email: "anna@acme.example", orgName: null, expiresAt: "2026-11-27T22:00:00Z" });
});

it("knows what a role includes", () => {
  expect(hasRole(session, "user")).toBe(true);
  expect(hasRole(session, "admin")).toBe(true);
  expect(hasRole(session, "superadmin")).toBe(false);
  expect(hasRole(null, "user")).toBe(false);
});

it("knows a scope by its name or by the star", () => {
  const all: Session = { ...session, permissions: ["*"] };
  expect(may(session, "config:read")).toBe(true);
  expect(may(session, "config:write")).toBe(false);
  expect(may(all, "config:write")).toBe(true);
  expect(may(null, "config:read")).toBe(false);
});
