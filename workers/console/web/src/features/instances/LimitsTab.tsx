import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { configService, unwrap } from "../../api/client";
import { useOfflineReason } from "../../api/connection_hooks";
import { snippets } from "../../api/snippets";
import { useWrite } from "../../api/write";
import { count } from "../../format/bytes";
import { type Column, Confirm, DataTable, EmptyState, ErrorState, Facts, Panel, toast } from "../../ui";
import { LimitDialog } from "./LimitDialog";
import { windowText, type Window } from "./limits";
import { at, etag } from "./model";
import { errorIn, limitsQuery, type ProviderLimit } from "./queries";
import { useTableState } from "./table";

const columns: Column<ProviderLimit>[] = [
  { id: "provider", header: "Provider", main: true, value: (row) => row.provider, cell: (row) => row.provider },
  { id: "rpm", header: "Requests a minute", align: "end", value: (row) => row.rpm, cell: (row) => <Limit value={row.rpm} /> },
  { id: "tpm", header: "Tokens a minute", align: "end", value: (row) => row.tpm, cell: (row) => <Limit value={row.tpm} /> },
  {
    id: "inflight", header: "Images at once", align: "end", value: (row) => row.max_inflight_images ?? row.default_max_inflight_images,
    cell: (row) => (row.max_inflight_images === null && row.default_max_inflight_images !== null ? <span>{count(row.default_max_inflight_images)} <span className="text-muted">vendor</span></span> : <Limit value={row.max_inflight_images} />),
  },
  { id: "windows", header: "Further windows", cell: (row) => (row.windows.length === 0 ? <span className="text-muted">none</span> : (row.windows as Window[]).map(windowText).join("; ")) },
];

function Limit({ value }: { value: number | null | undefined }) {
  return value === null || value === undefined ? <span className="text-muted">no limit</span> : <span className="tabular-nums">{count(value)}</span>;
}

export function LimitsTab({ instanceId, canWrite }: { instanceId: string; canWrite: boolean }) {
  const query = useQuery(limitsQuery(instanceId));
  const [editing, setEditing] = useState<ProviderLimit | null>(null);
  const [removing, setRemoving] = useState<ProviderLimit | null>(null);
  const tableState = useTableState();
  const version = query.data?.version ?? 0;
  const queue = query.data?.queue;
  return (
    <div className="flex flex-col gap-5">
      <Panel title="By provider" lead="As configured here; the vendor's own limit holds where there is none." flush>
        <DataTable
          caption="Limits"
          {...tableState}
          columns={columns}
          list={{ rows: query.data?.items, error: errorIn(query), refresh: () => void query.refetch(), refreshing: query.isFetching, updatedAt: query.dataUpdatedAt }}
          rowId={(row) => row.provider}
          {...(canWrite
            ? {
                onOpen: setEditing,
                actions: (row: ProviderLimit) => [
                  { label: "Edit limits", icon: "pencil" as const, onSelect: () => setEditing(row) },
                  {
                    label: "Remove limits", icon: "trash" as const, danger: true, onSelect: () => setRemoving(row),
                    reason: row.configured ? undefined : "None are configured.",
                  },
                ],
              }
            : {})}
          empty={<EmptyState icon="sliders" title="No provider yet">Set a provider key or add a provider to the configuration; its limits are set here.</EmptyState>}
        />
      </Panel>
      {queue !== undefined && (
        <Panel title="Wait queue" lead="What happens at a limit; edited on the tab Configuration.">
          <Facts
            columns={3}
            facts={[
              { name: "At the limit", value: at(queue, "/on_limit") === "queue" ? "the job waits" : "429 with the time to wait" },
              { name: "Jobs waiting at a provider", value: `at most ${count(number(queue, "/max_depth"))}` },
              { name: "Longest wait", value: `${count(number(queue, "/max_wait_s"))} s` },
            ]}
          />
        </Panel>
      )}
      {editing !== null && <LimitDialog instanceId={instanceId} limit={editing} version={version} onClose={() => setEditing(null)} />}
      {removing !== null && <Remove instanceId={instanceId} limit={removing} version={version} onClose={() => setRemoving(null)} />}
    </div>
  );
}

function number(value: object, pointer: string): number | null {
  const found = at(value as never, pointer);
  return typeof found === "number" ? found : null;
}

function Remove({ instanceId, limit, version, onClose }: { instanceId: string; limit: ProviderLimit; version: number; onClose: () => void }) {
  const offline = useOfflineReason();
  const remove = useWrite({
    write: "instance.limits",
    send: () =>
      unwrap(
        configService.DELETE("/instance/{instance_id}/rate-limit/{provider}", {
          params: { path: { instance_id: instanceId, provider: limit.provider }, header: { "If-Match": etag(version) } },
        }),
      ),
    onDone: () => {
      toast({ tone: "good", title: `Limits of ${limit.provider} removed` });
      onClose();
    },
  });
  return (
    <Confirm
      open
      title={`Remove the limits of ${limit.provider}?`}
      action="Remove limits"
      busy={remove.isPending}
      reason={offline}
      onClose={onClose}
      onConfirm={() => remove.mutate(undefined)}
      error={remove.error !== null && <ErrorState compact error={remove.error} />}
      code={snippets({ method: "DELETE", path: `/api/config-service/instance/${instanceId}/rate-limit/${limit.provider}`, headers: { "If-Match": etag(version) } }, location.origin)}
    >
      <p>The vendor&apos;s own limits hold from then on.</p>
    </Confirm>
  );
}
