import { useState } from "react";
import { configService, unwrap } from "../../api/client";
import { keys } from "../../api/keys";
import { useCursorList } from "../../api/pages";
import { Badge, type Column, DataTable, Drawer, EmptyState, Facts, Id, JsonTree, Panel, Time, type Tone } from "../../ui";
import type { Deployment } from "./queries";

const STATUS: Record<Deployment["status"], { tone: Tone; text: string }> = {
  running: { tone: "info", text: "Running" },
  succeeded: { tone: "good", text: "Succeeded" },
  failed: { tone: "bad", text: "Failed" },
  rolled_back: { tone: "warn", text: "Rolled back" },
  rollback_blocked: { tone: "bad", text: "Rollback blocked" },
};

const columns: Column<Deployment>[] = [
  { id: "created", header: "Started", main: true, value: (row) => row.created_at, cell: (row) => <Time at={row.created_at} /> },
  { id: "status", header: "Result", value: (row) => row.status, cell: (row) => <Badge tone={STATUS[row.status].tone} dot>{STATUS[row.status].text}</Badge> },
  { id: "commit", header: "Commit", value: (row) => row.git_sha, cell: (row) => (row.git_sha === null ? <span className="text-muted">–</span> : <Id id={row.git_sha} what="commit" />) },
  { id: "actor", header: "By", value: (row) => row.actor, cell: (row) => <code className="text-sm">{row.actor}</code> },
  { id: "source", header: "From", value: (row) => row.source, cell: (row) => row.source },
  { id: "ended", header: "Ended", value: (row) => row.ended_at, cell: (row) => (row.ended_at === null ? "not yet" : <Time at={row.ended_at} relative />) },
];

export function DeploymentsTab({ instanceId }: { instanceId: string }) {
  const [opened, setOpened] = useState<Deployment | null>(null);
  const list = useCursorList({
    queryKey: keys.deployments(instanceId),
    fetchPage: (cursor, signal) =>
      unwrap(configService.GET("/instance/{instance_id}/deployments", {
        params: { path: { instance_id: instanceId }, query: { limit: 50, ...(cursor === undefined ? {} : { cursor }) } },
        signal,
      })),
    refetchInterval: 30_000,
  });
  return (
    <Panel flush>
      <DataTable
        caption="Deployments"
        columns={columns}
        list={list}
        rowId={(row) => row.deployment_id}
        onOpen={setOpened}
        selectedId={opened?.deployment_id}
        empty={<EmptyState icon="stack" title="Never deployed by the deploy tool">Each run appears here with its plan and its journal.</EmptyState>}
      />
      {opened !== null && <Details deployment={opened} onClose={() => setOpened(null)} />}
    </Panel>
  );
}

function Details({ deployment, onClose }: { deployment: Deployment; onClose: () => void }) {
  const parts = [["Plan", deployment.plan], ["Journal", deployment.journal], ["Result", deployment.result]] as const;
  return (
    <Drawer open wide title="Deployment" onClose={onClose}>
      <div className="flex flex-col gap-5">
        <Facts
          facts={[
            { name: "Id", value: <Id id={deployment.deployment_id} /> },
            { name: "Result", value: <Badge tone={STATUS[deployment.status].tone} dot>{STATUS[deployment.status].text}</Badge> },
            { name: "Started", value: <Time at={deployment.created_at} /> },
            { name: "Ended", value: <Time at={deployment.ended_at} /> },
          ]}
        />
        {parts.map(([title, value]) =>
          value === null || value === undefined ? null : (
            <section key={title} className="flex flex-col gap-2">
              <h3 className="text-base font-semibold">{title}</h3>
              <JsonTree value={value} what={title} />
            </section>
          ),
        )}
      </div>
    </Drawer>
  );
}
