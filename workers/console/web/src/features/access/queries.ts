/** The lists of these pages, and what of them the caller may ask for. */
import { useQuery } from "@tanstack/react-query";
import { configService, unwrap } from "../../api/client";
import { keys } from "../../api/keys";
import { allPages, type CursorPage } from "../../api/pages";
import { hasRole, may, type Session, useSession } from "../../api/session";
import type { ApiKey, Grant, Instance, Organization, Project, User } from "./types";

export const REFRESH_MS = 30_000;

export interface UserFilters {
  q?: string | undefined;
  role?: User["role"] | undefined;
  status?: User["status"] | undefined;
  org_id?: string | undefined;
}

/** Parameters that are set: `undefined` is not sent. */
function set<T extends object>(values: T): { [Name in keyof T]?: Exclude<T[Name], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}

type Fetch<Item> = (cursor: string | undefined, signal: AbortSignal) => Promise<CursorPage<Item>>;

export function usersPage(filters: UserFilters, limit = 50): Fetch<User> {
  return (cursor, signal) => unwrap(configService.GET("/user", { params: { query: set({ ...filters, limit, cursor }) }, signal }));
}

export function oneUser(id: string, signal: AbortSignal) {
  return unwrap(configService.GET("/user/{user_id}", { params: { path: { user_id: id } }, signal }));
}

export function oneKey(id: string, signal: AbortSignal): Promise<ApiKey> {
  return unwrap(configService.GET("/api-key/{key_id}", { params: { path: { key_id: id } }, signal })) as Promise<ApiKey>;
}

export interface KeyFilters {
  user_id?: string | undefined;
  project_id?: string | undefined;
  status?: ApiKey["state"] | undefined;
  unused_days?: number | undefined;
}

export function apiKeysPage(filters: KeyFilters): Fetch<ApiKey> {
  return (cursor, signal) =>
    unwrap(configService.GET("/api-key", { params: { query: set({ ...filters, cursor }) }, signal })) as Promise<CursorPage<ApiKey>>;
}

export function sessionsPage(userId: string | undefined) {
  return (cursor: string | undefined, signal: AbortSignal) =>
    unwrap(configService.GET("/session/list", { params: { query: set({ user_id: userId, cursor }) }, signal }));
}

const nothing = () => undefined;

function useAll<Item>(queryKey: readonly unknown[], fetchPage: Fetch<Item>, enabled: boolean) {
  return useQuery({ queryKey: [...queryKey, "all"], queryFn: ({ signal }) => allPages(fetchPage, signal, nothing), enabled, refetchInterval: REFRESH_MS });
}

/** Whether the caller may ask for the people of an organization. */
export function seesUsers(session: Session | null): boolean {
  return hasRole(session, "admin") && may(session, "config:read");
}

export function useAllUsers(filters: UserFilters = {}, enabled = true) {
  const allowed = seesUsers(useSession());
  return useAll<User>(keys.users(set(filters)), usersPage(filters, 200), enabled && allowed);
}

/** Active administrators of an organization, or of the platform: at most two, to know whether one is the last. */
export function useActiveAdmins(user: Pick<User, "role" | "org_id">, enabled: boolean) {
  const filters = { role: user.role, status: "active" as const, org_id: user.org_id ?? undefined };
  return useQuery({
    queryKey: keys.users({ ...set(filters), limit: 2 }),
    queryFn: async ({ signal }) => (await usersPage(filters, 2)(undefined, signal)).items,
    enabled: enabled && user.role !== "user",
  });
}

export function useAllInstances(orgId?: string, enabled = true) {
  const allowed = may(useSession(), "config:read");
  const query = set({ org_id: orgId, limit: 200 });
  const fetchPage: Fetch<Instance> = (cursor, signal) => unwrap(configService.GET("/instance", { params: { query: { ...query, ...set({ cursor }) } }, signal }));
  return useAll<Instance>(keys.instances(query), fetchPage, enabled && allowed);
}

/** The instances that a user may use, as they stand now. */
export async function accessOf(userId: string): Promise<Set<string>> {
  const fetchPage: Fetch<Grant> = (cursor, signal) => unwrap(configService.GET("/access", { params: { query: { user_id: userId, limit: 200, ...set({ cursor }) } }, signal }));
  const grants = await allPages(fetchPage, new AbortController().signal, nothing);
  return new Set(grants.map((grant) => grant.instance_id));
}

export function useAllGrants(orgId?: string) {
  const query = set({ org_id: orgId, limit: 200 });
  const fetchPage: Fetch<Grant> = (cursor, signal) => unwrap(configService.GET("/access", { params: { query: { ...query, ...set({ cursor }) } }, signal }));
  return useAll<Grant>(keys.access(query), fetchPage, true);
}

export function useAllProjects() {
  const session = useSession();
  const fetchPage: Fetch<Project> = (cursor, signal) => unwrap(configService.GET("/project", { params: { query: set({ limit: 200, cursor }) }, signal }));
  return useAll<Project>(keys.projects({ limit: 200 }), fetchPage, seesUsers(session));
}

/** Organizations: superadmins have many, others their own. */
export function useAllOrganizations(enabled: boolean) {
  const fetchPage: Fetch<Organization> = (cursor, signal) => unwrap(configService.GET("/organization", { params: { query: set({ limit: 200, cursor }) }, signal }));
  return useAll<Organization>(keys.organizations({ limit: 200 }), fetchPage, enabled);
}
