import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useMemo, useRef, useState } from "react";
import { keys } from "../../api/keys";
import { allPages, useCursorList, useNamedRow } from "../../api/pages";
import { hasRole, may, useSession } from "../../api/session";
import { snippets } from "../../api/snippets";
import { useRowKeys } from "../../keyboard";
import { Button, CodeTabs, DataTable, EmptyState, Field, FilterBar, type MenuEntry, MissingRow, Panel, Select, StaleBadge } from "../../ui";
import { userColumns } from "./columns";
import { DeleteUser } from "./DeleteUser";
import { EditUser } from "./EditUser";
import { userGuard } from "./model";
import { useCaller } from "./parts";
import { oneUser, REFRESH_MS, type UserFilters, usersPage } from "./queries";
import { StatusOfUser } from "./StatusOfUser";
import type { Organization, User } from "./types";

const route = getRouteApi("/framed/admin/users");
type Open = { what: "status" | "delete"; user: User };

export function UsersTab({ organizations }: { organizations: readonly Organization[] | undefined }) {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const go = useNavigate();
  const session = useSession();
  const caller = useCaller();
  const [open, setOpen] = useState<Open | null>(null);
  const box = useRef<HTMLDivElement>(null);
  useRowKeys(box);

  const filters: UserFilters = { q: search.q, role: search.role, status: search.status, org_id: search.org };
  const fetchPage = usersPage(filters);
  const list = useCursorList({ queryKey: keys.users({ ...filters }), fetchPage, refetchInterval: REFRESH_MS });
  const isSuper = hasRole(session, "superadmin");
  const columns = useMemo(() => userColumns({ self: caller.userId, organizations: isSuper ? (organizations ?? []) : null }), [caller.userId, isSuper, organizations]);
  const filtered = search.q !== undefined || search.role !== undefined || search.status !== undefined || search.org !== undefined;
  const change = (next: Partial<typeof search>) => void navigate({ search: (old) => ({ ...old, ...next }), replace: true });

  // Opening is a step of its own, so Back closes what is open.
  const show = (user: User | undefined) => void navigate({ search: (old) => ({ ...old, open: user?.user_id }), replace: user === undefined });
  const named = useNamedRow<Omit<User, "keys">>({ id: search.open, rows: list.rows, idOf: (user) => user.user_id, queryKey: keys.user(search.open ?? ""), fetchRow: oneUser });
  const shown = named.row;

  const actions = (user: User): MenuEntry[] => {
    const disabled = user.status === "disabled";
    const noWrite = may(session, "config:write") ? undefined : "Your key lacks the scope config:write.";
    return [
      { label: "Edit", icon: "pencil", reason: noWrite, onSelect: () => show(user) },
      ...(user.role === "user"
        ? [{ label: "Instance access", icon: "cube" as const, onSelect: () => change({ tab: "access", q: user.email, role: undefined, status: undefined, org: user.org_id ?? undefined }) }]
        : []),
      { label: "API keys", icon: "key", onSelect: () => void go({ to: "/admin/keys", search: { owner: user.user_id } }) },
      { label: "Sessions", icon: "desktop", onSelect: () => void go({ to: "/admin/keys", search: { tab: "sessions", user: user.user_id } }) },
      null,
      {
        label: disabled ? "Enable" : "Disable",
        icon: disabled ? "play" : "prohibit",
        reason: userGuard(caller, user, "status"),
        onSelect: () => setOpen({ what: "status", user }),
      },
      { label: "Delete", icon: "trash", danger: true, reason: userGuard(caller, user, "delete"), onSelect: () => setOpen({ what: "delete", user }) },
    ];
  };

  return (
    <div className="flex flex-col gap-4">
      <FilterBar
        search={{ label: "Search users", placeholder: "Name or email", value: search.q ?? "", onValue: (q) => change({ q: q || undefined }) }}
        active={filtered}
        onClear={() => change({ q: undefined, role: undefined, status: undefined, org: undefined })}
        actions={<StaleBadge updatedAt={list.updatedAt} intervalMs={REFRESH_MS} />}
      >
        <Field label="Role" hideLabel className="w-36">
          <Select
            value={search.role ?? ""}
            onValue={(role) => change({ role: role === "" ? undefined : role })}
            options={[
              { value: "", label: "All roles" },
              { value: "user", label: "User" },
              { value: "admin", label: "Admin" },
              ...(isSuper ? [{ value: "superadmin" as const, label: "Superadmin" }] : []),
            ]}
          />
        </Field>
        <Field label="Status" hideLabel className="w-36">
          <Select
            value={search.status ?? ""}
            onValue={(status) => change({ status: status === "" ? undefined : status })}
            options={[
              { value: "", label: "Any status" },
              { value: "active", label: "Active" },
              { value: "disabled", label: "Disabled" },
            ]}
          />
        </Field>
        {isSuper && <OrganizationFilter organizations={organizations} value={search.org} onValue={(org) => change({ org })} />}
      </FilterBar>
      <MissingRow what="user" error={named.error} onClose={() => show(undefined)} />
      <Panel flush>
        <DataTable
          ref={box}
          caption="Users"
          columns={columns}
          list={list}
          rowId={(user) => user.user_id}
          rowName={(user) => user.email}
          onOpen={show}
          selectedId={search.open}
          actions={actions}
          state={{ sort: search.sort, columns: search.columns }}
          onState={({ sort, columns }) => change({ sort, columns: columns === undefined ? undefined : [...columns] })}
          exportRows={(signal, onProgress) => allPages(fetchPage, signal, onProgress)}
          empty={
            filtered ? (
              <EmptyState icon="users" title="No user matches" action={<Button onClick={() => change({ q: undefined, role: undefined, status: undefined, org: undefined })}>Clear filters</Button>}>
                Nobody has this text in name or email, with this role and status.
              </EmptyState>
            ) : (
              <EmptyState
                icon="users"
                title="No users yet"
                code={<CodeTabs code={snippets({ method: "POST", path: "/api/config-service/user", body: { email: "ada@example.com", role: "user" } }, location.origin)} />}
              >
                Users sign in with a key of their own and see the instances that you give them.
              </EmptyState>
            )
          }
        />
      </Panel>
      {shown !== undefined && <EditUser key={shown.user_id} user={shown} onClose={() => show(undefined)} />}
      {open?.what === "status" && <StatusOfUser user={open.user} onClose={() => setOpen(null)} />}
      {open?.what === "delete" && <DeleteUser user={open.user} onClose={() => setOpen(null)} />}
    </div>
  );
}

export function OrganizationFilter(props: { organizations: readonly Organization[] | undefined; value: string | undefined; onValue: (id: string | undefined) => void; all?: boolean }) {
  const { organizations = [], value, onValue, all = true } = props;
  return (
    <Field label="Organization" hideLabel className="w-48">
      <Select
        value={value ?? ""}
        onValue={(id) => onValue(id === "" ? undefined : id)}
        options={[...(all ? [{ value: "", label: "All organizations" }] : []), ...organizations.map(({ org_id, name }) => ({ value: org_id, label: name }))]}
      />
    </Field>
  );
}
