/** The browser's session: exchange of a key for a cookie, who is signed in, and what they may do. */
import { type QueryClient, queryOptions, useQuery } from "@tanstack/react-query";
import { send } from "./client";
import { errorOf } from "./errors";
import { discard } from "./transport";
import { keys } from "./keys";

export type Role = "user" | "admin" | "superadmin";

export interface InstanceRef {
  instance_id: string;
  name: string;
  environment: string;
  status: string;
}

export interface Session {
  userId: string;
  email: string;
  role: Role;
  orgId: string | null;
  orgName: string | null;
  keyId: string;
  permissions: readonly string[];
  instances: readonly InstanceRef[];
  /** `instances` names the first 100 only. */
  instancesMore: boolean;
  sessionId: string;
  /** RFC 3339. */
  expiresAt: string;
  environment: string;
  gitSha: string;
  simulator: boolean;
}

/** The answer of `/auth/session`. */
interface SessionDocument {
  principal: {
    user_id: string;
    email: string;
    role: Role;
    org_id?: string | null;
    org_name?: string | null;
    key_id: string;
    permissions: string[];
    instances: InstanceRef[];
    instances_more?: boolean;
  };
  session: { session_id: string; created_at: string; expires_at: string };
  environment: string;
  git_sha: string;
  simulator: boolean;
}

export function sessionOf(document: SessionDocument): Session {
  const { principal, session } = document;
  return {
    userId: principal.user_id,
    email: principal.email,
    role: principal.role,
    orgId: principal.org_id ?? null,
    orgName: principal.org_name ?? null,
    keyId: principal.key_id,
    permissions: principal.permissions,
    instances: principal.instances,
    instancesMore: principal.instances_more ?? false,
    sessionId: session.session_id,
    expiresAt: session.expires_at,
    environment: document.environment,
    gitSha: document.git_sha,
    simulator: document.simulator,
  };
}

/** Who is signed in; `null` when nobody is. Asked once at start, and after signing in or out. */
export const sessionQuery = queryOptions({
  queryKey: keys.session,
  queryFn: async ({ signal }): Promise<Session | null> => {
    const response = await send(new Request("/auth/session", { signal }));
    if (response.status === 401) {
      await discard(response);
      return null;
    }
    if (!response.ok) throw await errorOf(response, "");
    return sessionOf((await response.json()) as SessionDocument);
  },
  staleTime: Number.POSITIVE_INFINITY,
  gcTime: Number.POSITIVE_INFINITY,
  retry: false,
});

/** The session of a page behind the sign-in; `null` on the pages that work without one, and before it is known. */
export function useSession(): Session | null {
  return useQuery(sessionQuery).data ?? null;
}

/** Exchanges a key for a session cookie. The key is not kept; throws an `ApiError`. */
export async function signIn(client: QueryClient, apiKey: string): Promise<Session> {
  const response = await send(
    new Request("/auth/session", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ api_key: apiKey.trim() }),
    }),
  );
  if (!response.ok) throw await errorOf(response, "");
  const session = sessionOf((await response.json()) as SessionDocument);
  client.setQueryData(keys.session, session);
  return session;
}

/** Ends the session. `false`: the cookie is gone, but the server could not end the session yet. */
export async function signOut(client: QueryClient): Promise<boolean> {
  const response = await send(new Request("/auth/session", { method: "DELETE" }));
  if (!response.ok) throw await errorOf(response, "");
  client.clear();
  client.setQueryData(keys.session, null);
  return response.status !== 202;
}

const RANK: Record<Role, number> = { user: 0, admin: 1, superadmin: 2 };

/** Whether the role is at least `needed`. Hides what is not allowed; the server decides. */
export function hasRole(session: Session | null, needed: Role): boolean {
  return session !== null && RANK[session.role] >= RANK[needed];
}

/** Whether the session has the scope, by name or by `*`. */
export function may(session: Session | null, scope: string): boolean {
  return session !== null && (session.permissions.includes(scope) || session.permissions.includes("*"));
}
