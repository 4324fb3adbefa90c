import { configService, unwrap } from "../../api/client";
import { keys } from "../../api/keys";
import { allPages, findRow, useCursorList, useNamedRow } from "../../api/pages";
import { hasRole, useSession } from "../../api/session";
import { type Column, DataTable, diff, DiffView, Drawer, EmptyState, Facts, Id, MissingRow, Panel, Time } from "../../ui";
import { actorOf } from "./model";
import type { AuditEntry, Instance } from "./queries";
import { useOpenRow, useTableState } from "./table";

const columns: Column<AuditEntry>[] = [
  { id: "at", header: "When", main: true, value: (row) => row.at, cell: (row) => <Time at={row.at} /> },
  { id: "action", header: "Change", value: (row) => row.action, cell: (row) => words(row.action) },
  { id: "members", header: "Members", value: (row) => changed(row).join(", "), cell: (row) => <span className="text-sm">{changed(row).join(", ") || "–"}</span> },
  { id: "actor", header: "By", value: actorOf, cell: (row) => <code className="text-sm">{actorOf(row)}</code> },
  { id: "request", header: "Request", hidden: true, value: (row) => row.request_id, cell: (row) => <Id id={row.request_id} what="request id" /> },
];

/** Every change of this instance, from the audit log. */
export function HistoryTab({ instance }: { instance: Instance }) {
  const superadmin = hasRole(useSession(), "superadmin");
  const [entry, setEntry] = useOpenRow();
  const filters = { target: `instance:${instance.instance_id}`, ...(superadmin ? { org_id: instance.org_id } : {}) };
  const fetchPage = (cursor: string | undefined, signal: AbortSignal) =>
    unwrap(configService.GET("/audit", { params: { query: { ...filters, limit: 50, ...(cursor === undefined ? {} : { cursor }) } }, signal }));
  const list = useCursorList({ queryKey: keys.audit(filters), fetchPage, refetchInterval: 30_000 });
  const named = useNamedRow({
    id: entry,
    rows: list.rows,
    idOf: (row: AuditEntry) => String(row.seq),
    queryKey: [...keys.audit(filters), "entry", entry],
    // An entry has no address of its own.
    fetchRow: (seq, signal) => findRow(fetchPage, (row) => String(row.seq) === seq, signal),
  });
  const opened = named.row ?? null;
  return (
    <Panel flush>
      {named.error !== null && (
        <div className="p-4">
          <MissingRow what="entry" error={named.error} onClose={() => setEntry(undefined)} />
        </div>
      )}
      <DataTable
        caption="History"
        columns={columns}
        list={list}
        rowId={(row) => String(row.seq)}
        rowName={(row) => `${words(row.action)} at ${row.at}`}
        onOpen={(row) => setEntry(String(row.seq))}
        selectedId={entry}
        {...useTableState()}
        exportRows={(signal, onProgress) => allPages(fetchPage, signal, onProgress)}
        empty={<EmptyState icon="clock" title="No changes in the last 400 days">Each change leaves one entry here that nobody can edit.</EmptyState>}
      />
      {opened !== null && (
        <Drawer open wide title={words(opened.action)} onClose={() => setEntry(undefined)}>
          <div className="flex flex-col gap-5">
            <Facts
              facts={[
                { name: "When", value: <Time at={opened.at} /> },
                { name: "By", value: <code className="text-sm">{actorOf(opened)}</code> },
                { name: "Request id", value: <Id id={opened.request_id} what="request id" /> },
                { name: "Address", value: opened.ip ?? "not known" },
              ]}
            />
            <DiffView rows={diff(opened.before ?? {}, opened.after ?? {})} none="The entry tells no members." />
          </div>
        </Drawer>
      )}
    </Panel>
  );
}

function words(action: string): string {
  const text = action.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function changed(entry: AuditEntry): string[] {
  return diff(entry.before ?? {}, entry.after ?? {}).map((row) => row.pointer.slice(1)).slice(0, 4);
}
