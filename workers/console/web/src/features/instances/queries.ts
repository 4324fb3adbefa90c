/** What the pages of instances read. */
import { queryOptions, type UseQueryResult } from "@tanstack/react-query";
import { configService, unwrap } from "../../api/client";
import { type ApiError, asApiError } from "../../api/errors";
import type { components } from "../../api/generated/config-service";
import { keys } from "../../api/keys";
import { allPages } from "../../api/pages";

type Schemas = components["schemas"];
export type InstanceSummary = Schemas["InstanceSummary"];
export type Instance = Schemas["Instance"];
export type UpdateInstance = Schemas["UpdateInstance"];
export type Limits = Schemas["Limits"];
export type ProviderLimit = Schemas["ProviderLimit"];
export type ProjectLine = Schemas["ProjectLine"];
export type Project = Schemas["Project"];
export type Deployment = Schemas["Deployment"];
export type AuditEntry = Schemas["AuditEntry"];
export type Worker = Schemas["Worker"];

const REFRESH_MS = 30_000;

export const instanceQuery = (id: string) =>
  queryOptions({
    queryKey: keys.instance(id),
    queryFn: ({ signal }) => unwrap(configService.GET("/instance/{instance_id}", { params: { path: { instance_id: id } }, signal })),
    refetchInterval: REFRESH_MS,
  });

/** The entry of the audit log that paused the instance; `null` when it is older than what the page looks at. */
export const pauseQuery = (instance: Instance, superadmin: boolean) => {
  const filters = { target: `instance:${instance.instance_id}`, action: "pause_instance", ...(superadmin ? { org_id: instance.org_id } : {}) };
  return queryOptions({
    queryKey: keys.audit({ ...filters, limit: 1 }),
    queryFn: async ({ signal }): Promise<AuditEntry | null> => {
      const page = await unwrap(configService.GET("/audit", { params: { query: { ...filters, limit: 1 } }, signal }));
      return page.items[0] ?? null;
    },
  });
};

export const limitsQuery = (id: string) =>
  queryOptions({
    queryKey: keys.instanceLimits(id),
    queryFn: ({ signal }) => unwrap(configService.GET("/instance/{instance_id}/limits", { params: { path: { instance_id: id } }, signal })),
    refetchInterval: REFRESH_MS,
  });

/** Workers of the instance, and those of the platform that serve it. */
export const workersQuery = (id: string) =>
  queryOptions({
    queryKey: ["workers", id],
    queryFn: async ({ signal }): Promise<Worker[]> => {
      const of = (instance_id: string) => unwrap(configService.GET("/worker", { params: { query: { instance_id, limit: 100 } }, signal }));
      const [own, platform] = await Promise.all([of(id), of("platform")]);
      return [...own.items, ...platform.items];
    },
    refetchInterval: REFRESH_MS,
  });

/**
 * The workers of every instance in one call; `null` when there are more than a page holds, and a number of them would say
 * less than the truth.
 */
export const allWorkersQuery = queryOptions({
  queryKey: ["workers"],
  queryFn: async ({ signal }): Promise<Worker[] | null> => {
    const page = await unwrap(configService.GET("/worker", { params: { query: { limit: 200 } }, signal }));
    return page.next_cursor === null ? page.items : null;
  },
  refetchInterval: REFRESH_MS,
});

/** Active users with the role "user": others have all instances of their organization. */
export const peopleQuery = (orgId: string | null) =>
  queryOptions({
    queryKey: keys.users({ role: "user", status: "active", ...(orgId === null ? {} : { org_id: orgId }), all: true }),
    queryFn: ({ signal }) =>
      allPages(
        (cursor, abort) =>
          unwrap(
            configService.GET("/user", {
              params: { query: { role: "user", status: "active", limit: 200, ...(orgId === null ? {} : { org_id: orgId }), ...(cursor === undefined ? {} : { cursor }) } },
              signal: abort,
            }),
          ),
        signal,
        () => undefined,
      ),
  });

export const organizationsQuery = queryOptions({
  queryKey: keys.organizations({ limit: 200 }),
  queryFn: ({ signal }) => unwrap(configService.GET("/organization", { params: { query: { limit: 200 } }, signal })),
});

export const projectQuery = (id: string) =>
  queryOptions({
    queryKey: keys.project(id),
    queryFn: ({ signal }) => unwrap(configService.GET("/project/{project_id}", { params: { path: { project_id: id } }, signal })),
    // An editor is opened on what stands there now.
    staleTime: 0,
    gcTime: 0,
  });

export function errorIn(query: Pick<UseQueryResult, "error">): ApiError | null {
  return query.error === null ? null : asApiError(query.error);
}
