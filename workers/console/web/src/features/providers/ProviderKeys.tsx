import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { configService, unwrap } from "../../api/client";
import { useOfflineReason } from "../../api/connection_hooks";
import { asApiError } from "../../api/errors";
import { keys } from "../../api/keys";
import { may, useSession } from "../../api/session";
import { snippets } from "../../api/snippets";
import { useWrite } from "../../api/write";
import { Badge, Banner, Button, CodeBlock, type Column, Confirm, DataTable, EmptyState, ErrorState, Panel, RadioGroup, Time, toast } from "../../ui";
import { KeyDialog, type Wanted } from "./KeyDialog";
import { KEY_STATE, maskOf, type ProviderKey, providersFor } from "./model";

const columns: Column<ProviderKey>[] = [
  { id: "provider", header: "Provider", main: true, value: (row) => row.provider, cell: (row) => row.provider },
  { id: "state", header: "State", value: (row) => row.state, cell: (row) => <Badge tone={KEY_STATE[row.state].tone} dot>{KEY_STATE[row.state].text}</Badge> },
  { id: "key", header: "Key", value: maskOf, cell: (row) => (maskOf(row) === null ? <span className="text-muted">–</span> : <code className="text-sm">{maskOf(row)}</code>) },
  { id: "set_at", header: "Set", value: (row) => row.set_at, cell: (row) => (row.set_at === null ? <span className="text-muted">–</span> : <Time at={row.set_at} relative />) },
  { id: "set_by", header: "By", hidden: true, value: (row) => row.set_by, cell: (row) => <code className="text-sm">{row.set_by ?? "–"}</code> },
  { id: "used", header: "Last worked", value: (row) => row.last_used_at, cell: (row) => <Time at={row.last_used_at} relative /> },
  { id: "previous", header: "Previous until", value: (row) => row.previous_until, cell: (row) => (row.previous_until === null ? <span className="text-muted">–</span> : <Time at={row.previous_until} />) },
];

/** The keys that an instance's requests to providers are made with: set, rotated, deleted, never read. */
export function ProviderKeys({ instanceId }: { instanceId: string }) {
  const canWrite = may(useSession(), "secrets:write");
  const [wanted, setWanted] = useState<Wanted | null>(null);
  const [deleting, setDeleting] = useState<ProviderKey | null>(null);
  const query = useQuery({
    queryKey: keys.providerKeys(instanceId),
    queryFn: ({ signal }) => unwrap(configService.GET("/instance/{instance_id}/provider-key", { params: { path: { instance_id: instanceId } }, signal })),
    refetchInterval: 30_000,
  });
  const rows = query.data?.items;
  const troubled = (rows ?? []).filter((row) => row.state === "host_changed" || row.state === "failing");
  const first = () => setWanted({ kind: "set", key: null });
  const add = canWrite && (
    <Button size="sm" tone="primary" icon="plus" onClick={first}>
      Set provider key
    </Button>
  );
  return (
    <div className="flex flex-col gap-4">
      {troubled.map((row) => (
        <Banner
          key={row.provider}
          tone="bad"
          title={`${row.provider}: ${KEY_STATE[row.state].text.toLowerCase()}`}
          action={canWrite && <Button size="sm" onClick={() => setWanted({ kind: "set", key: row })}>Enter key</Button>}
        >
          {KEY_STATE[row.state].advice}
        </Banner>
      ))}
      <Panel title="Provider keys" lead="Sealed when they are entered. Nobody can read them again, here or through the API." actions={rows?.length !== 0 && add} flush>
        <DataTable
          caption="Provider keys"
          columns={columns}
          list={{ rows, error: query.error === null ? null : asApiError(query.error), refresh: () => void query.refetch(), refreshing: query.isFetching, updatedAt: query.dataUpdatedAt }}
          rowId={(row) => row.provider}
          {...(canWrite
            ? {
                actions: (row: ProviderKey) => [
                  { label: row.version === null ? "Set key" : "Replace key", icon: "key" as const, onSelect: () => setWanted({ kind: "set", key: row }) },
                  {
                    label: "Rotate key", icon: "arrowClockwise" as const, onSelect: () => setWanted({ kind: "rotate", key: row }),
                    reason: row.state === "missing" ? "There is no key to rotate." : undefined,
                  },
                  {
                    label: "Delete key", icon: "trash" as const, danger: true, onSelect: () => setDeleting(row),
                    reason: row.state === "missing" && row.previous_until === null ? "There is no key to delete." : undefined,
                  },
                ],
              }
            : {})}
          empty={
            <EmptyState
              icon="key"
              title="No provider keys yet"
              action={add}
              {...(canWrite
                ? {
                    code: (
                      <CodeBlock
                        what="curl"
                        code={snippets({ method: "PUT", path: `/api/config-service/instance/${instanceId}/provider-key/openai`, body: { api_key: "YOUR_KEY_AT_OPENAI" } }, location.origin).curl}
                      />
                    ),
                  }
                : {})}
            >
              Requests go to providers with keys of your own. Set the first one.
            </EmptyState>
          }
        />
      </Panel>
      {wanted !== null && <KeyDialog instanceId={instanceId} wanted={wanted} providers={providersFor(rows ?? [])} known={rows ?? []} onClose={() => setWanted(null)} />}
      {deleting !== null && <DeleteKey instanceId={instanceId} row={deleting} onClose={() => setDeleting(null)} />}
    </div>
  );
}

function DeleteKey({ instanceId, row, onClose }: { instanceId: string; row: ProviderKey; onClose: () => void }) {
  const [when, setWhen] = useState<"later" | "now">("later");
  const offline = useOfflineReason();
  const remove = useWrite({
    write: "provider-key.change",
    send: () =>
      unwrap(
        configService.DELETE("/instance/{instance_id}/provider-key/{provider}", {
          params: { path: { instance_id: instanceId, provider: row.provider }, query: when === "now" ? ({ now: true }) : {} },
        }),
      ),
    onDone: () => {
      toast({ tone: "good", title: `Key of ${row.provider} deleted` });
      onClose();
    },
  });
  return (
    <Confirm
      open
      title={`Delete the key of ${row.provider}?`}
      action="Delete key"
      typed={row.provider}
      busy={remove.isPending}
      reason={offline}
      onClose={onClose}
      onConfirm={() => remove.mutate(undefined)}
      error={remove.error !== null && <ErrorState compact error={remove.error} />}
      code={snippets({ method: "DELETE", path: `/api/config-service/instance/${instanceId}/provider-key/${row.provider}`, query: when === "now" ? { now: true } : {} }, location.origin)}
    >
      <p>New requests to {row.provider} have no key from then on.</p>
      <RadioGroup
        legend="Its value"
        name="delete-when"
        value={when}
        onValue={setWhen}
        options={[
          { value: "later", label: "Keep it for 24 hours", help: "For the jobs that run under it." },
          { value: "now", label: "Erase it at once", help: "With all previous keys. For a key that leaked; running jobs may fail." },
        ]}
      />
    </Confirm>
  );
}
