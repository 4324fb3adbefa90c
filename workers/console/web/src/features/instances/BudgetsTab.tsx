import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { hasRole, useSession } from "../../api/session";
import { snippets } from "../../api/snippets";
import { money } from "../../format/money";
import { Badge, Button, CodeBlock, type Column, DataTable, EmptyState, Panel } from "../../ui";
import { BudgetDialog, RemoveBudget } from "./BudgetDialog";
import { type Budget, etag } from "./model";
import { errorIn, limitsQuery } from "./queries";
import { useTableState } from "./table";

const columns: Column<Budget>[] = [
  { id: "scope", header: "Applies to", main: true, value: (row) => row.scope, cell: (row) => scopeText(row.scope) },
  { id: "period", header: "Period", value: (row) => row.period, cell: (row) => <Badge>{row.period === "day" ? "Day, UTC" : "Month, UTC"}</Badge> },
  { id: "limit", header: "Limit", align: "end", value: (row) => row.limit_usd_micros, cell: (row) => <span className="tabular-nums">{money(row.limit_usd_micros)}</span> },
];

function scopeText(scope: string) {
  if (scope === "instance") return "The whole instance";
  const [kind, id] = [scope.slice(0, scope.indexOf(":")), scope.slice(scope.indexOf(":") + 1)];
  return (
    <span>
      {kind === "provider" ? "Provider" : kind === "project" ? "Project" : "Key"} <code className="text-sm break-all">{id}</code>
    </span>
  );
}

function firstBudget(instanceId: string, version: number): string {
  const body = [{ scope: "instance", period: "month", limit_usd_micros: 50_000_000 }];
  return snippets({ method: "PUT", path: `/api/config-service/instance/${instanceId}/budgets`, headers: { "If-Match": etag(version) }, body }, location.origin).curl;
}

export function BudgetsTab({ instanceId, canWrite }: { instanceId: string; canWrite: boolean }) {
  const query = useQuery(limitsQuery(instanceId));
  const admin = hasRole(useSession(), "admin");
  const tableState = useTableState();
  const [editing, setEditing] = useState<Budget | "new" | null>(null);
  const [removing, setRemoving] = useState<Budget | null>(null);
  const budgets = query.data?.budgets;
  const add = canWrite && (
    <Button size="sm" icon="plus" onClick={() => setEditing("new")}>
      Add budget
    </Button>
  );
  return (
    <Panel title="Budgets" lead="When one is spent, requests that would cost more are refused until its period ends." actions={budgets?.length !== 0 && add} flush>
      <DataTable
        caption="Budgets"
          {...tableState}
        columns={columns}
        list={{ rows: budgets, error: errorIn(query), refresh: () => void query.refetch(), refreshing: query.isFetching, updatedAt: query.dataUpdatedAt }}
        rowId={(row) => `${row.scope} per ${row.period}`}
        {...(canWrite
          ? {
              onOpen: setEditing,
              actions: (row: Budget) => [
                { label: "Edit budget", icon: "pencil" as const, onSelect: () => setEditing(row) },
                { label: "Remove budget", icon: "trash" as const, danger: true, onSelect: () => setRemoving(row) },
              ],
            }
          : {})}
        empty={
          <EmptyState icon="sliders" title="No budgets" action={add} {...(canWrite ? { code: <CodeBlock what="curl" code={firstBudget(instanceId, query.data?.version ?? 1)} /> } : {})}>
            Spending has no ceiling. {admin ? "Add one for the instance, a provider, a project or a key." : "An administrator can set one."}
          </EmptyState>
        }
      />
      {editing !== null && query.data !== undefined && (
        <BudgetDialog instanceId={instanceId} budgets={query.data.budgets} version={query.data.version} edited={editing === "new" ? null : editing} onClose={() => setEditing(null)} />
      )}
      {removing !== null && query.data !== undefined && (
        <RemoveBudget instanceId={instanceId} budgets={query.data.budgets} version={query.data.version} edited={removing} onClose={() => setRemoving(null)} />
      )}
    </Panel>
  );
}
