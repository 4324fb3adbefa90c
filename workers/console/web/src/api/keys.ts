/**
 * Query keys, and which of them a write makes old.
 *
 * A key begins with its list's name, so `invalidate` of the name reaches each filter, page and detail of it.
 */
import type { QueryClient } from "@tanstack/react-query";

type Filters = Readonly<Record<string, unknown>>;

export const keys = {
  session: ["session"] as const,
  instances: (filters: Filters = {}) => ["instances", filters] as const,
  instance: (id: string) => ["instances", id] as const,
  instanceLimits: (id: string) => ["instances", id, "limits"] as const,
  instanceUsage: (id: string) => ["instances", id, "usage"] as const,
  deployments: (id: string, filters: Filters = {}) => ["instances", id, "deployments", filters] as const,
  providerKeys: (id: string) => ["provider-keys", id] as const,
  projects: (filters: Filters = {}) => ["projects", filters] as const,
  project: (id: string) => ["projects", id] as const,
  organizations: (filters: Filters = {}) => ["organizations", filters] as const,
  users: (filters: Filters = {}) => ["users", filters] as const,
  user: (id: string) => ["users", id] as const,
  access: (filters: Filters = {}) => ["access", filters] as const,
  apiKeys: (filters: Filters = {}) => ["api-keys", filters] as const,
  apiKey: (id: string) => ["api-keys", id] as const,
  sessions: (filters: Filters = {}) => ["sessions", filters] as const,
  models: (instanceId: string) => ["models", instanceId] as const,
  jobs: (instanceId: string, filters: Filters = {}) => ["jobs", instanceId, filters] as const,
  job: (instanceId: string, id: string) => ["jobs", instanceId, id] as const,
  images: (instanceId: string, filters: Filters = {}) => ["images", instanceId, filters] as const,
  limits: (instanceId: string) => ["limits", instanceId] as const,
  budgets: (instanceId: string) => ["budgets", instanceId] as const,
  audit: (filters: Filters = {}) => ["audit", filters] as const,
};

/** The first members of keys: what a write can make old. */
export type Resource =
  | "instances"
  | "provider-keys"
  | "projects"
  | "organizations"
  | "users"
  | "access"
  | "api-keys"
  | "sessions"
  | "models"
  | "jobs"
  | "images"
  | "limits"
  | "budgets"
  | "audit"
  | "session";

/** Which lists are old after a write. A write names itself here, never a list at its call site. */
export const invalidations = {
  "instance.create": ["instances", "audit", "session"],
  "instance.update": ["instances", "models", "audit"],
  "instance.delete": ["instances", "access", "audit", "session"],
  "instance.status": ["instances", "audit", "session"],
  "instance.limits": ["instances", "limits", "audit"],
  "instance.budgets": ["instances", "budgets", "audit"],
  "provider-key.change": ["provider-keys", "instances", "models", "audit"],
  "project.change": ["projects", "audit"],
  "organization.change": ["organizations", "audit"],
  "user.create": ["users", "access", "audit"],
  "user.update": ["users", "access", "api-keys", "sessions", "audit"],
  "user.delete": ["users", "access", "api-keys", "sessions", "audit"],
  "access.replace": ["access", "users", "instances", "audit"],
  "api-key.create": ["api-keys", "users", "audit"],
  "api-key.update": ["api-keys", "audit"],
  "api-key.revoke": ["api-keys", "users", "sessions", "audit"],
  "session.end": ["sessions", "audit"],
  "image.generate": ["jobs", "images", "limits", "budgets"],
  "image.change": ["images"],
  "job.change": ["jobs", "limits", "budgets"],
} as const satisfies Record<string, readonly Resource[]>;

export type Write = keyof typeof invalidations;

/** Marks the lists old and waits for those on screen, so the new row is visible before the notice goes. */
export async function invalidate(client: QueryClient, write: Write): Promise<void> {
  await Promise.all(invalidations[write].map((resource) => client.invalidateQueries({ queryKey: [resource] })));
}
