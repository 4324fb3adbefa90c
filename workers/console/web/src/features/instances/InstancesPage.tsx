import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useRef, useState } from "react";
import { configService, unwrap } from "../../api/client";
import { keys } from "../../api/keys";
import { allPages, useCursorList } from "../../api/pages";
import { hasRole, may, useSession } from "../../api/session";
import { snippets } from "../../api/snippets";
import { useRowKeys, useShortcuts } from "../../keyboard";
import { Button, CodeBlock, CodeDisclosure, DataTable, EmptyState, Field, FilterBar, Page, Panel, Select, StaleBadge } from "../../ui";
import { instanceColumns } from "./columns";
import { CreateInstance } from "./CreateInstance";
import { healthOf } from "./model";
import { allWorkersQuery } from "./queries";

const route = getRouteApi("/framed/admin/instances");
const REFRESH_MS = 30_000;

export function InstancesPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const session = useSession();
  const mayCreate = hasRole(session, "admin") && may(session, "config:write");
  const [creating, setCreating] = useState(false);
  const table = useRef<HTMLDivElement>(null);
  useRowKeys(table);
  const filters = {
    ...(search.q === undefined ? {} : { q: search.q }),
    ...(search.status === undefined ? {} : { status: search.status }),
  };
  const fetchPage = (cursor: string | undefined, signal: AbortSignal) =>
    unwrap(configService.GET("/instance", { params: { query: { ...filters, limit: 100, ...(cursor === undefined ? {} : { cursor }) } }, signal }));
  const list = useCursorList({ queryKey: keys.instances(filters), fetchPage, refetchInterval: REFRESH_MS });
  useShortcuts("Instances", [
    ...(mayCreate ? [{ keys: "n", does: "Create instance", run: () => setCreating(true) }] : []),
    { keys: "r", does: "Refresh", run: () => list.refresh() },
  ]);
  const workers = useQuery(allWorkersQuery);
  // Without the registry the list is still a list.
  const health = (id: string) => (workers.data === undefined ? (workers.isError ? null : undefined) : workers.data === null ? null : healthOf(workers.data, id));
  const filtered = Object.keys(filters).length > 0;
  const open = (id: string) => void navigate({ to: "/admin/instances/$id", params: { id }, search: {} });
  const clear = () => void navigate({ search: (old) => ({ ...old, q: undefined, status: undefined }), replace: true });
  const listRequest = { method: "GET", path: "/api/config-service/instance", query: filters } as const;
  return (
    <Page
      title="Instances"
      lead="Each has its own configuration, provider keys, limits and bucket."
      aside={<StaleBadge updatedAt={list.updatedAt} intervalMs={REFRESH_MS} />}
      // The only one, also where the list is empty: it does not come and go with the rows.
      actions={
        mayCreate && (
          <Button tone="primary" icon="plus" onClick={() => setCreating(true)}>
            Create instance
          </Button>
        )
      }
    >
      <FilterBar
        search={{ label: "Search instances", placeholder: "Name or id", value: search.q ?? "", onValue: (q) => void navigate({ search: (old) => ({ ...old, q: q || undefined }), replace: true }) }}
        active={filtered}
        onClear={clear}
      >
        <Field label="Status" hideLabel className="w-40">
          <Select
            value={search.status ?? ""}
            onValue={(status) => void navigate({ search: (old) => ({ ...old, status: status === "" ? undefined : status }), replace: true })}
            options={[
              { value: "", label: "Any status" },
              { value: "active", label: "Active" },
              { value: "deploying", label: "Deploying" },
              { value: "paused", label: "Paused" },
              { value: "deleting", label: "Deleting" },
            ]}
          />
        </Field>
      </FilterBar>
      <Panel flush>
        <DataTable
          ref={table}
          caption="Instances"
          columns={instanceColumns(hasRole(session, "superadmin"), health)}
          list={list}
          rowId={(row) => row.instance_id}
          rowName={(row) => row.name}
          onOpen={(row) => open(row.instance_id)}
          actions={(row) => [
            { label: "Open", icon: "cube", onSelect: () => open(row.instance_id) },
            { label: "Limits", icon: "sliders", onSelect: () => void navigate({ to: "/admin/instances/$id", params: { id: row.instance_id }, search: { tab: "limits" } }) },
            { label: "Projects", icon: "stack", onSelect: () => void navigate({ to: "/admin/instances/$id", params: { id: row.instance_id }, search: { tab: "projects" } }) },
          ]}
          state={{ sort: search.sort, columns: search.columns }}
          onState={(state) => void navigate({ search: (old) => ({ ...old, sort: state.sort, columns: state.columns === undefined ? undefined : [...state.columns] }), replace: true })}
          exportRows={(signal, onProgress) => allPages(fetchPage, signal, onProgress)}
          empty={
            filtered ? (
              <EmptyState icon="funnel" title="No instance matches" action={<Button onClick={clear}>Clear filters</Button>}>
                No instance has this text in its name or id, with this status.
              </EmptyState>
            ) : mayCreate ? (
              <EmptyState
                icon="cube"
                title="No instances yet"
                code={<CodeBlock code={snippets({ method: "POST", path: "/api/config-service/instance", body: { name: "Staging" } }, location.origin).curl} what="curl" />}
              >
                Create the first one; the same works from a shell.
              </EmptyState>
            ) : (
              <EmptyState icon="cube" title="No instance is yours">
                An administrator of your organization grants access to instances, on the page of your user.
              </EmptyState>
            )
          }
        />
      </Panel>
      {/* Comes with the rows: beneath their skeleton it would jump. */}
      {list.rows !== undefined && <CodeDisclosure code={snippets(listRequest, location.origin)}>Show this list as code</CodeDisclosure>}
      {creating && <CreateInstance onClose={() => setCreating(false)} onCreated={open} />}
    </Page>
  );
}
