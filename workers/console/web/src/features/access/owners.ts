/** Whose keys there can be: people and projects by name, as far as the caller may know them. */
import { useCallback, useMemo } from "react";
import { useSession } from "../../api/session";
import type { OwnerKind } from "./model";
import { useAllProjects, useAllUsers } from "./queries";
import type { ApiKey, Role } from "./types";

export interface Owner {
  id: string;
  kind: OwnerKind;
  label: string;
  /** Of a project: that of its keys. */
  role: Role;
  /** `null` of superadmins. */
  orgId: string | null;
  active: boolean;
}

export interface Owners {
  all: readonly Owner[];
  /** More may come. */
  loading: boolean;
  options: { value: string; label: string }[];
  nameOf: (key: Pick<ApiKey, "user_id" | "project_id">) => string | undefined;
  isProject: (id: string | undefined) => boolean;
}

export function useOwners(): Owners {
  const session = useSession();
  const { data: users, isFetching: fetchingUsers } = useAllUsers();
  const { data: projects, isFetching: fetchingProjects } = useAllProjects();
  const all = useMemo((): Owner[] => {
    const own: Owner[] = session === null ? [] : [{ id: session.userId, kind: "user", label: session.email, role: session.role, orgId: session.orgId, active: true }];
    const others = (users ?? []).filter((user) => user.user_id !== session?.userId);
    return [
      ...own,
      ...others.map((user): Owner => ({ id: user.user_id, kind: "user", label: user.email, role: user.role, orgId: user.org_id, active: user.status === "active" })),
      ...(projects ?? []).map((one): Owner => ({ id: one.project_id, kind: "project", label: one.name, role: "user", orgId: one.org_id, active: true })),
    ];
  }, [session, users, projects]);
  const nameOf = useCallback((key: Pick<ApiKey, "user_id" | "project_id">) => all.find(({ id }) => id === (key.user_id ?? key.project_id))?.label, [all]);
  return {
    all,
    loading: fetchingUsers || fetchingProjects,
    options: all.map(({ id, kind, label }) => ({ value: id, label: kind === "project" ? `${label} (project)` : label })),
    nameOf,
    isProject: (id) => all.some((owner) => owner.id === id && owner.kind === "project"),
  };
}
