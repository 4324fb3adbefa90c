import { useQuery } from "@tanstack/react-query";
import { Badge, type Column, DataTable, EmptyState, Facts, Id, Panel, Time, type Tone } from "../../ui";
import { at, isRecord } from "./model";
import { errorIn, type Instance, type Worker, workersQuery } from "./queries";
import { useTableState } from "./table";

const HEALTH: Record<Worker["health"], { tone: Tone; text: string }> = {
  healthy: { tone: "good", text: "Healthy" },
  degraded: { tone: "warn", text: "Degraded" },
  unhealthy: { tone: "bad", text: "Unhealthy" },
  unknown: { tone: "neutral", text: "Not asked yet" },
};

const columns: Column<Worker>[] = [
  { id: "name", header: "Worker", main: true, value: (row) => row.name, cell: (row) => row.name },
  { id: "of", header: "Serves", value: (row) => row.instance_id ?? "", cell: (row) => (row.instance_id === null ? "every instance" : "this instance") },
  { id: "version", header: "Version", value: (row) => row.version, cell: (row) => <code className="text-sm">{row.version}</code> },
  {
    id: "health", header: "Health", value: (row) => row.health,
    cell: (row) => (
      <span className="flex flex-wrap items-center gap-2">
        <Badge tone={HEALTH[row.health].tone} dot>{HEALTH[row.health].text}</Badge>
        {row.health_reason !== null && row.health !== "healthy" && <span className="text-sm text-muted">{row.health_reason}</span>}
      </span>
    ),
  },
  { id: "since", header: "Since", value: (row) => row.health_since, cell: (row) => <Time at={row.health_since} relative /> },
];

export function OverviewTab({ instance }: { instance: Instance }) {
  const workers = useQuery(workersQuery(instance.instance_id));
  const tableState = useTableState();
  const keys = Object.entries(instance.api_keys);
  const environment = text(instance, "/environment");
  return (
    <div className="flex flex-col gap-5">
      <Panel title="Instance">
        <Facts
          columns={3}
          facts={[
            { name: "Id", value: <Id id={instance.instance_id} what="instance id" full /> },
            { name: "Environment", value: environment ?? "not set" },
            { name: "R2 bucket", value: instance.r2_bucket === null ? "not set" : <Id id={instance.r2_bucket} what="bucket" full /> },
            { name: "Default provider", value: text(instance, "/routing/default_provider") ?? "chosen for each request" },
            { name: "Optimize for", value: text(instance, "/routing/optimize") ?? "balanced" },
            { name: "Provider keys", value: keys.length === 0 ? "none" : keys.map(([name, masked]) => `${name} ${masked}`).join(", ") },
            { name: "Users with access", value: instance.authorized_users.length },
            { name: "Configuration version", value: instance.config_version },
            { name: "Organization", value: <Id id={instance.org_id} what="organization id" /> },
            { name: "Deletion", value: at(instance, "/protected") === true ? "protected" : "possible" },
            { name: "Created", value: <Time at={instance.created_at} /> },
            { name: "Changed", value: <Time at={instance.updated_at} relative /> },
          ]}
        />
      </Panel>
      {isRecord(instance.worker_urls) && Object.keys(instance.worker_urls).length > 0 && (
        <Panel title="Worker addresses">
          <Facts columns={1} facts={Object.entries(instance.worker_urls).map(([name, url]) => ({ name, value: <Id id={String(url)} what="address" full /> }))} />
        </Panel>
      )}
      <Panel title="Workers" flush>
        <DataTable
          caption="Workers"
          {...tableState}
          columns={columns}
          list={{ rows: workers.data, error: errorIn(workers), refresh: () => void workers.refetch(), refreshing: workers.isFetching, updatedAt: workers.dataUpdatedAt }}
          rowId={(row) => `${row.instance_id ?? "platform"}/${row.name}`}
          empty={<EmptyState icon="stack" title="No workers are registered">They appear when they are deployed.</EmptyState>}
        />
      </Panel>
    </div>
  );
}

function text(instance: Instance, pointer: string): string | null {
  const value = at(instance, pointer);
  return typeof value === "string" && value !== "" ? value : null;
}
