import { Badge, type Column, Id, Skeleton, Time } from "../../ui";
import { money } from "../../format/money";
import { DEPLOYMENT_STATUS } from "./deployment";
import { type Budget, type Health, keySummary, STATUS } from "./model";
import type { InstanceSummary } from "./queries";

export function StatusBadge({ status }: { status: InstanceSummary["status"] }) {
  return (
    <Badge tone={STATUS[status].tone} dot>
      {STATUS[status].text}
    </Badge>
  );
}

/** `healthOf`: `undefined` while it is asked, `null` when it is not known. */
export const instanceColumns = (withOrganization: boolean, healthOf: (id: string) => Health | null | undefined): Column<InstanceSummary>[] => [
  { id: "name", header: "Name", main: true, value: (row) => row.name, cell: (row) => <span className="md:inline-block md:min-w-36">{row.name}</span> },
  { id: "id", header: "Id", value: (row) => row.instance_id, cell: (row) => <code className="text-sm md:inline-block md:min-w-44">{row.instance_id}</code> },
  ...(withOrganization
    ? [{ id: "organization", header: "Organization", hidden: true, value: (row: InstanceSummary) => row.org_id, cell: (row: InstanceSummary) => <Id id={row.org_id} what="organization id" /> }]
    : []),
  { id: "environment", header: "Environment", value: (row) => row.environment, cell: (row) => row.environment ?? <None /> },
  { id: "status", header: "Status", value: (row) => STATUS[row.status].text, cell: (row) => <StatusBadge status={row.status} /> },
  {
    id: "workers",
    header: "Workers",
    value: (row) => healthText(healthOf(row.instance_id)),
    // Keeps its width when the workers' answer comes after the rows.
    cell: (row) => (
      <div className="md:min-w-32">
        <Workers health={healthOf(row.instance_id)} />
      </div>
    ),
  },
  { id: "keys", header: "Provider keys", value: (row) => keySummary(row.key_states ?? null)?.set, cell: (row) => <Keys states={row.key_states ?? null} /> },
  { id: "budgets", header: "Budget", value: (row) => instanceBudget(row)?.limit_usd_micros, cell: (row) => <BudgetCell budget={instanceBudget(row)} />, align: "end" },
  { id: "deployed", header: "Last deployment", value: (row) => row.last_deployment?.created_at, cell: (row) => <LastDeployment last={row.last_deployment} /> },
  { id: "updated", header: "Changed", hidden: true, value: (row) => row.updated_at, cell: (row) => <Time at={row.updated_at} relative /> },
  { id: "created", header: "Created", hidden: true, value: (row) => row.created_at, cell: (row) => <Time at={row.created_at} /> },
];

function instanceBudget(row: InstanceSummary): Budget | undefined {
  const budgets = row.budgets as Budget[];
  return budgets.find((budget) => budget.scope === "instance" && budget.period === "month") ?? budgets.find((budget) => budget.scope === "instance");
}

function BudgetCell({ budget }: { budget: Budget | undefined }) {
  if (budget === undefined) return <None />;
  return (
    <span className="whitespace-nowrap tabular-nums">
      {money(budget.limit_usd_micros)} <span className="text-muted">a {budget.period}</span>
    </span>
  );
}

function healthText(health: Health | null | undefined): string | null {
  return health === null || health === undefined || health.healthy + health.troubled === 0 ? null : `${health.healthy} of ${health.all}`;
}

function Workers({ health }: { health: Health | null | undefined }) {
  if (health === undefined) return <Skeleton className="h-4 w-24" />;
  if (health === null || health.all === 0) return <None />;
  if (health.healthy + health.troubled === 0) return <span className="text-muted">not asked yet</span>;
  const words = `${healthText(health) ?? ""} healthy`;
  return health.troubled > 0 ? <Badge tone="warn" dot>{words}</Badge> : <span className="whitespace-nowrap tabular-nums">{words}</span>;
}

function Keys({ states }: { states: Readonly<Record<string, unknown>> | null }) {
  const summary = keySummary(states);
  if (summary === null) return <None />;
  if (summary.wrong.length > 0) return <Badge tone="bad" dot>{summary.wrong.join(", ")}: needs attention</Badge>;
  if (summary.set === 0) return <Badge tone="warn" dot>none</Badge>;
  return <span className="tabular-nums">{summary.set} set</span>;
}

function LastDeployment({ last }: { last: InstanceSummary["last_deployment"] }) {
  if (last === null) return <span className="text-muted">never</span>;
  const { tone, text } = DEPLOYMENT_STATUS[last.status];
  return (
    <span className="flex flex-wrap items-center gap-x-2 gap-y-1">
      <Time at={last.created_at} relative />
      {last.status !== "succeeded" && (
        <Badge tone={tone} dot>
          {text}
        </Badge>
      )}
    </span>
  );
}

function None() {
  return <span className="text-muted">–</span>;
}
