import { configService, unwrap } from "../../api/client";
import { keys } from "../../api/keys";
import { findRow, useCursorList, useNamedRow } from "../../api/pages";
import { Badge, type Column, DataTable, Drawer, EmptyState, Facts, Id, JsonTree, MissingRow, Panel, Time } from "../../ui";
import { DEPLOYMENT_STATUS, type JournalStep, journalSteps, type PlannedAction, plannedActions, resultFacts } from "./deployment";
import type { Deployment } from "./queries";
import { useOpenRow, useTableState } from "./table";

const columns: Column<Deployment>[] = [
  { id: "created", header: "Started", main: true, value: (row) => row.created_at, cell: (row) => <Time at={row.created_at} /> },
  { id: "status", header: "Result", value: (row) => row.status, cell: (row) => <Badge tone={DEPLOYMENT_STATUS[row.status].tone} dot>{DEPLOYMENT_STATUS[row.status].text}</Badge> },
  { id: "commit", header: "Commit", value: (row) => row.git_sha, cell: (row) => (row.git_sha === null ? <span className="text-muted">–</span> : <Id id={row.git_sha} what="commit" />) },
  { id: "actor", header: "By", value: (row) => row.actor, cell: (row) => <code className="text-sm">{row.actor}</code> },
  { id: "source", header: "From", value: (row) => row.source, cell: (row) => row.source },
  { id: "ended", header: "Ended", value: (row) => row.ended_at, cell: (row) => (row.ended_at === null ? "not yet" : <Time at={row.ended_at} relative />) },
];

export function DeploymentsTab({ instanceId }: { instanceId: string }) {
  const [entry, setEntry] = useOpenRow();
  const fetchPage = (cursor: string | undefined, signal: AbortSignal) =>
    unwrap(configService.GET("/instance/{instance_id}/deployments", {
      params: { path: { instance_id: instanceId }, query: { limit: 50, ...(cursor === undefined ? {} : { cursor }) } },
      signal,
    }));
  const list = useCursorList({ queryKey: keys.deployments(instanceId), fetchPage, refetchInterval: 30_000 });
  const named = useNamedRow({
    id: entry,
    rows: list.rows,
    idOf: (row: Deployment) => row.deployment_id,
    queryKey: keys.deployments(instanceId, { deployment_id: entry }),
    // A deployment has no address of its own.
    fetchRow: (id, signal) => findRow(fetchPage, (row) => row.deployment_id === id, signal),
  });
  const opened = named.row ?? null;
  return (
    <Panel flush>
      {named.error !== null && (
        <div className="p-4">
          <MissingRow what="deployment" error={named.error} onClose={() => setEntry(undefined)} />
        </div>
      )}
      <DataTable
        caption="Deployments"
        columns={columns}
        list={list}
        rowId={(row) => row.deployment_id}
        onOpen={(row) => setEntry(row.deployment_id)}
        selectedId={entry}
        {...useTableState()}
        empty={<EmptyState icon="stack" title="Never deployed by the deploy tool">Each run appears here with its plan and its journal.</EmptyState>}
      />
      {opened !== null && <Details deployment={opened} onClose={() => setEntry(undefined)} />}
    </Panel>
  );
}

const actionColumns: Column<PlannedAction>[] = [
  { id: "name", header: "Resource", main: true, cell: (row) => <code className="text-sm break-all">{row.name || row.kind}</code> },
  { id: "op", header: "Action", cell: (row) => <Badge tone={row.op === "delete" || row.op === "replace" ? "bad" : row.op === "drift" ? "warn" : "neutral"}>{row.op}</Badge> },
  { id: "kind", header: "Kind", cell: (row) => row.kind.replaceAll("_", " ") },
  {
    id: "changes", header: "Changes",
    cell: (row) => (row.changes.length === 0 ? <span className="text-muted">–</span> : <span className="flex flex-col text-sm break-words">{row.changes.map((change) => <span key={change}>{change}</span>)}</span>),
  },
];

const stepColumns: Column<JournalStep>[] = [
  { id: "step", header: "Step", main: true, cell: (row) => row.step },
  { id: "state", header: "State", cell: (row) => <Badge tone={row.state === "done" ? "good" : row.state === "failed" ? "bad" : "info"} dot>{row.state}</Badge> },
  { id: "at", header: "When", cell: (row) => <Time at={row.at} /> },
  { id: "note", header: "Note", cell: (row) => row.note ?? <span className="text-muted">–</span> },
];

/** A table where the shape is known; what a newer deploy tool writes is shown as it is. */
function Part({ title, value }: { title: "Plan" | "Journal" | "Result"; value: unknown }) {
  if (title === "Plan") {
    const actions = plannedActions(value);
    if (actions !== null) return <DataTable caption="Plan" columns={actionColumns} list={{ rows: actions }} rowId={(row) => `${row.op} ${row.kind} ${row.name}`} empty={<p className="text-muted">Nothing to do.</p>} />;
  }
  if (title === "Journal") {
    const steps = journalSteps(value);
    // A step may stand there twice: started, done.
    if (steps !== null) return <DataTable caption="Journal" columns={stepColumns} list={{ rows: steps }} rowId={(row) => `${row.step} ${row.state} ${row.at ?? ""}`} empty={null} />;
  }
  if (title === "Result") {
    const facts = resultFacts(value);
    if (facts !== null) return <Facts columns={1} facts={facts} />;
  }
  return <JsonTree value={value} what={title} />;
}

function Details({ deployment, onClose }: { deployment: Deployment; onClose: () => void }) {
  const parts = [["Plan", deployment.plan], ["Journal", deployment.journal], ["Result", deployment.result]] as const;
  return (
    <Drawer open wide title="Deployment" onClose={onClose}>
      <div className="flex flex-col gap-5">
        <Facts
          facts={[
            { name: "Id", value: <Id id={deployment.deployment_id} /> },
            { name: "Result", value: <Badge tone={DEPLOYMENT_STATUS[deployment.status].tone} dot>{DEPLOYMENT_STATUS[deployment.status].text}</Badge> },
            { name: "Started", value: <Time at={deployment.created_at} /> },
            { name: "Ended", value: <Time at={deployment.ended_at} /> },
          ]}
        />
        {parts.map(([title, value]) =>
          value === null || value === undefined ? null : (
            <section key={title} className="flex flex-col gap-2">
              <h3 className="text-base font-semibold">{title}</h3>
              <Part title={title} value={value} />
            </section>
          ),
        )}
      </div>
    </Drawer>
  );
}
