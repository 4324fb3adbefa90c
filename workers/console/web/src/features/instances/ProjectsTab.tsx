import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useState } from "react";
import { configService, unwrap } from "../../api/client";
import { useOfflineReason } from "../../api/connection_hooks";
import { keys } from "../../api/keys";
import { allPages, useCursorList } from "../../api/pages";
import { hasRole, may, useSession } from "../../api/session";
import { snippets } from "../../api/snippets";
import { useWrite } from "../../api/write";
import { Button, CodeBlock, type Column, Confirm, DataTable, Dialog, EmptyState, ErrorState, FilterBar, Id, Panel, SkeletonText, Time, toast } from "../../ui";
import { etag } from "./model";
import { CreateProject, EditProject } from "./ProjectDialog";
import { errorIn, type ProjectLine, projectQuery } from "./queries";
import { useTableState } from "./table";

const route = getRouteApi("/framed/admin/instances/$id");

const columns: Column<ProjectLine>[] = [
  { id: "name", header: "Name", main: true, value: (row) => row.name, cell: (row) => row.name },
  { id: "id", header: "Id", value: (row) => row.project_id, cell: (row) => <Id id={row.project_id} what="project id" /> },
  { id: "by", header: "Made by", hidden: true, value: (row) => row.created_by, cell: (row) => <code className="text-sm">{row.created_by}</code> },
  { id: "updated", header: "Changed", value: (row) => row.updated_at, cell: (row) => <Time at={row.updated_at} relative /> },
  { id: "created", header: "Created", value: (row) => row.created_at, cell: (row) => <Time at={row.created_at} /> },
];

export function ProjectsTab({ instanceId }: { instanceId: string }) {
  const { q } = route.useSearch();
  const navigate = route.useNavigate();
  const session = useSession();
  const canWrite = session?.permissions.some((scope) => scope === "*" || scope.endsWith(":write")) ?? false;
  const canDelete = hasRole(session, "admin") && may(session, "config:write");
  const tableState = useTableState();
  const [creating, setCreating] = useState(false);
  const [editing, setEditing] = useState<ProjectLine | null>(null);
  const [deleting, setDeleting] = useState<ProjectLine | null>(null);
  const filters = { instance_id: instanceId, ...(q === undefined ? {} : { q }) };
  const fetchPage = (cursor: string | undefined, signal: AbortSignal) =>
    unwrap(configService.GET("/project", { params: { query: { ...filters, limit: 100, ...(cursor === undefined ? {} : { cursor }) } }, signal }));
  const list = useCursorList({ queryKey: keys.projects(filters), fetchPage, refetchInterval: 30_000 });
  const create = canWrite && (
    <Button tone="primary" icon="plus" onClick={() => setCreating(true)}>
      Create project
    </Button>
  );
  const setQ = (text: string) => void navigate({ search: (old) => ({ ...old, q: text || undefined }), replace: true });
  return (
    <div className="flex flex-col gap-4">
      <FilterBar search={{ label: "Search projects", value: q ?? "", onValue: setQ }} active={q !== undefined} onClear={() => setQ("")} actions={(q !== undefined || list.rows?.length !== 0) && create} />
      <Panel flush>
        <DataTable
          caption="Projects"
          {...tableState}
          columns={columns}
          list={list}
          rowId={(row) => row.project_id}
          rowName={(row) => row.name}
          {...(canWrite ? { onOpen: setEditing } : {})}
          actions={(row) => [
            ...(canWrite ? [{ label: "Edit", icon: "pencil" as const, onSelect: () => setEditing(row) }] : []),
            ...(canDelete ? [{ label: "Delete", icon: "trash" as const, danger: true, onSelect: () => setDeleting(row) }] : []),
          ]}
          exportRows={(signal, onProgress) => allPages(fetchPage, signal, onProgress)}
          empty={
            q === undefined ? (
              <EmptyState
                icon="stack"
                title="No projects yet"
                action={create}
                code={<CodeBlock what="curl" code={snippets({ method: "POST", path: "/api/config-service/project", body: { instance_id: instanceId, name: "Spring campaign" } }, location.origin).curl} />}
              >
                A project files jobs, images and costs under one name, and can have keys of its own.
              </EmptyState>
            ) : (
              <EmptyState icon="funnel" title="No project matches" action={<Button onClick={() => setQ("")}>Clear filters</Button>}>No project has this text in its name.</EmptyState>
            )
          }
        />
      </Panel>
      {creating && <CreateProject instanceId={instanceId} onClose={() => setCreating(false)} />}
      {editing !== null && <Editor line={editing} onClose={() => setEditing(null)} />}
      {deleting !== null && <DeleteProject line={deleting} onClose={() => setDeleting(null)} />}
    </div>
  );
}

/** The list has no settings: they are read when the editor opens. */
function Editor({ line, onClose }: { line: ProjectLine; onClose: () => void }) {
  const query = useQuery(projectQuery(line.project_id));
  const error = errorIn(query);
  if (query.data !== undefined) return <EditProject project={query.data} onClose={onClose} />;
  return (
    <Dialog open title={`Edit ${line.name}`} onClose={onClose}>
      {error === null ? <SkeletonText lines={4} /> : <ErrorState compact error={error} onRetry={() => void query.refetch()} retrying={query.isFetching} />}
    </Dialog>
  );
}

function DeleteProject({ line, onClose }: { line: ProjectLine; onClose: () => void }) {
  const offline = useOfflineReason();
  const remove = useWrite({
    write: "project.change",
    send: () => unwrap(configService.DELETE("/project/{project_id}", { params: { path: { project_id: line.project_id }, header: { "If-Match": etag(line.version) } } })),
    onDone: () => {
      toast({ tone: "good", title: `${line.name} deleted` });
      onClose();
    },
  });
  return (
    <Confirm
      open
      title={`Delete ${line.name}?`}
      action="Delete project"
      typed={line.name}
      busy={remove.isPending}
      reason={offline}
      onClose={onClose}
      onConfirm={() => remove.mutate(undefined)}
      error={remove.error !== null && <ErrorState compact error={remove.error} />}
      code={snippets({ method: "DELETE", path: `/api/config-service/project/${line.project_id}`, headers: { "If-Match": etag(line.version) } }, location.origin)}
    >
      <p>Its keys are revoked, everywhere within 5 seconds. Jobs, images and costs keep its id; its name is free again.</p>
    </Confirm>
  );
}
