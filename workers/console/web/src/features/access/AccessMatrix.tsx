import { getRouteApi, Link } from "@tanstack/react-router";
import { useMemo, useRef, useState } from "react";
import { asApiError } from "../../api/errors";
import { hasRole, may, useSession } from "../../api/session";
import { snippets } from "../../api/snippets";
import { useUnsaved } from "../../api/unsaved";
import { Banner, Button, buttonClass, CodeBlock, EmptyState, ErrorState, FilterBar, LeaveDialog, Panel, SkeletonText } from "../../ui";
import { AccessRow } from "./AccessRow";
import { type Cell, grantsByUser, nextCell, type Toggles } from "./model";
import { useAllGrants, useAllInstances, useAllUsers } from "./queries";
import type { Organization } from "./types";
import { OrganizationFilter } from "./UsersTab";

const route = getRouteApi("/framed/admin/users");
const NOTHING: ReadonlySet<string> = new Set();
const UNTOUCHED: Toggles = new Map();

/** Users x instances. Arrow keys move, Space toggles, and each row is saved as a whole. */
export function AccessMatrix({ organizations }: { organizations: readonly Organization[] | undefined }) {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const session = useSession();
  const isSuper = hasRole(session, "superadmin");
  const org = isSuper ? (search.org ?? organizations?.[0]?.org_id) : undefined;
  const ready = !isSuper || org !== undefined;
  const people = useAllUsers({ role: "user", org_id: org }, ready);
  const instances = useAllInstances(org, ready);
  const grants = useAllGrants(org);
  const standing = useMemo(() => grantsByUser(grants.data ?? []), [grants.data]);
  const grid = useRef<HTMLTableElement>(null);
  const [active, setActive] = useState<Cell>({ row: 0, column: 0 });

  // Not in the rows: one that a search hides would forget them.
  const [drafts, setDrafts] = useState<ReadonlyMap<string, Toggles>>(new Map());
  const dirty = [...drafts.values()].some((toggles) => toggles.size > 0);
  const leaving = useUnsaved(dirty);

  const wanted = (search.q ?? "").toLowerCase();
  const touched = (id: string) => (drafts.get(id)?.size ?? 0) > 0;
  const rows = (people.data ?? []).filter((user) => touched(user.user_id) || `${user.email} ${user.name}`.toLowerCase().includes(wanted));
  const columns = instances.data ?? [];
  // The one cell that Tab reaches; it stays inside when the rows change.
  const at = { row: Math.min(active.row, Math.max(0, rows.length - 1)), column: Math.min(active.column, Math.max(0, columns.length - 1)) };
  const move = (from: Cell, key: string): boolean => {
    const to = nextCell(from, key, rows.length, columns.length);
    if (to === null) return false;
    setActive(to);
    grid.current?.querySelector<HTMLElement>(`[data-cell="${to.row}:${to.column}"]`)?.focus();
    return true;
  };

  const clear = () => void navigate({ search: (old) => ({ ...old, q: undefined, org: undefined }), replace: true });
  const writes = may(session, "config:write");
  const failed = people.error ?? instances.error ?? grants.error;
  const loading = people.data === undefined || instances.data === undefined || grants.data === undefined;
  const filters = (
    <FilterBar
      search={{
        label: "Search users",
        placeholder: "Name or email",
        value: search.q ?? "",
        onValue: (q) => void navigate({ search: (old) => ({ ...old, q: q || undefined }), replace: true }),
      }}
      active={search.q !== undefined || (isSuper && search.org !== undefined)}
      onClear={clear}
    >
      {isSuper && (
        <OrganizationFilter
          organizations={organizations}
          all={false}
          value={org}
          onValue={(id) => void navigate({ search: (old) => ({ ...old, org: id }), replace: true })}
        />
      )}
    </FilterBar>
  );
  if (failed !== null && loading) {
    return <ErrorState error={asApiError(failed)} onRetry={() => void Promise.all([people.refetch(), instances.refetch(), grants.refetch()])} />;
  }
  return (
    <div className="flex flex-col gap-4">
      <LeaveDialog {...leaving}>Access that you gave or took away is not saved.</LeaveDialog>
      {filters}
      {!may(session, "config:write") && <Banner title="You can look, not change">Your key lacks the scope config:write.</Banner>}
      <Panel flush>
        {loading ? (
          <div className="p-5">
            <SkeletonText lines={5} />
          </div>
        ) : rows.length === 0 ? (
          wanted === "" ? (
            <EmptyState
              icon="users"
              title="Nobody with the role “user”"
              {...(writes ? { code: <CodeBlock what="curl" code={snippets({ method: "POST", path: "/api/config-service/user", body: { email: "ada@example.com", role: "user" } }, location.origin).curl} /> } : {})}
            >
              Administrators have all instances of their organization. Create a user to give access to single instances.
            </EmptyState>
          ) : (
            <EmptyState icon="users" title="No user matches" action={<Button onClick={clear}>Clear filters</Button>}>
              Nobody with the role “user” has this text in name or email.
            </EmptyState>
          )
        ) : columns.length === 0 ? (
          <EmptyState icon="cube" title="No instances yet" action={<Link to="/admin/instances" search={{}} className={buttonClass("primary")}>Go to the instances</Link>}>
            Create an instance first; then give people access here.
          </EmptyState>
        ) : (
          // The box is focusable because it scrolls.
          // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
          <div className="relative overflow-x-auto rounded-lg" role="region" aria-label="Instance access" tabIndex={0}>
            {/* eslint-disable-next-line jsx-a11y/no-noninteractive-element-to-interactive-role -- the grid pattern of the APG: one stop for Tab, arrows inside */}
            <table ref={grid} role="grid" aria-label="Which user may use which instance" className="w-full border-collapse text-left">
              <thead>
                <tr>
                  <th scope="col" className="sticky left-0 z-1 h-11 border-b border-line bg-sunken px-3 text-xs font-medium text-muted sm:px-5">
                    User
                  </th>
                  {columns.map((instance) => (
                    <th key={instance.instance_id} scope="col" className="border-b border-line bg-sunken px-2 py-2 text-center sm:px-3 text-xs font-medium text-muted">
                      <span className="mx-auto block max-w-20 truncate sm:max-w-40" title={instance.instance_id}>
                        {instance.name}
                      </span>
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {rows.map((user, row) => (
                  <AccessRow
                    key={user.user_id}
                    user={user}
                    instances={columns}
                    standing={standing.get(user.user_id) ?? NOTHING}
                    grants={grants.data}
                    toggles={drafts.get(user.user_id) ?? UNTOUCHED}
                    onToggles={(toggles) => setDrafts((old) => new Map(old).set(user.user_id, toggles))}
                    row={row}
                    activeColumn={at.row === row ? at.column : null}
                    onFocus={(column) => setActive({ row, column })}
                    onMove={(column, key) => move({ row, column }, key)}
                  />
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Panel>
      <p className="text-sm text-muted">Administrators are not listed: they have every instance of their organization. Arrow keys move, Space toggles.</p>
    </div>
  );
}
