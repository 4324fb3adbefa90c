import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { hasRole, may, useSession } from "../../api/session";
import { Banner, buttonClass, EmptyState, ErrorState, Page, Panel, SkeletonText, Tabs, Time } from "../../ui";
import { Deploying } from "./Activation";
import { BudgetsTab } from "./BudgetsTab";
import { StatusBadge } from "./columns";
import { ConfigTab } from "./ConfigTab";
import { DangerTab } from "./DangerTab";
import { DeploymentsTab } from "./DeploymentsTab";
import { HistoryTab } from "./HistoryTab";
import { LimitsTab } from "./LimitsTab";
import { actorOf, pauseReason } from "./model";
import { OverviewTab } from "./OverviewTab";
import { PauseButton } from "./PauseButton";
import { ProjectsTab } from "./ProjectsTab";
import { errorIn, type Instance, instanceQuery, pauseQuery } from "./queries";

const route = getRouteApi("/framed/admin/instances/$id");

const TABS = [
  { id: "overview", label: "Overview" },
  { id: "config", label: "Configuration" },
  { id: "keys", label: "Provider keys", admin: true },
  { id: "limits", label: "Limits" },
  { id: "budgets", label: "Budgets" },
  { id: "projects", label: "Projects" },
  { id: "deployments", label: "Deployments" },
  { id: "history", label: "History", admin: true, scope: "audit:read" },
  { id: "danger", label: "Danger", admin: true, scope: "config:write" },
] as const;

type TabId = (typeof TABS)[number]["id"];

/** `providerKeys`: the tab of another feature, put in by the route. */
export function InstancePage({ providerKeys }: { providerKeys: ReactNode }) {
  const { id } = route.useParams();
  const { tab = "overview" } = route.useSearch();
  const navigate = route.useNavigate();
  const session = useSession();
  const admin = hasRole(session, "admin");
  const query = useQuery(instanceQuery(id));
  const instance = query.data;
  const error = errorIn(query);

  if (instance === undefined) {
    return (
      <Page title={id}>
        {error === null ? (
          <Panel><SkeletonText lines={8} /></Panel>
        ) : (
          <>
            <ErrorState error={error} onRetry={() => void query.refetch()} retrying={query.isFetching} />
            <div><Link to="/admin/instances" search={{}} className={buttonClass()}>All instances</Link></div>
          </>
        )}
      </Page>
    );
  }

  const tabs = TABS.filter((candidate) => (!("admin" in candidate) || admin) && (!("scope" in candidate) || may(session, candidate.scope)));
  const allowed = tabs.some((candidate) => candidate.id === tab);
  const canWrite = admin && may(session, "config:write");
  return (
    <Page
      title={instance.name}
      aside={<StatusBadge status={instance.status} />}
      lead={<code className="text-sm">{instance.instance_id}</code>}
    >
      <StatusBanner instance={instance} canWrite={canWrite} />
      {error !== null && <ErrorState compact error={error} onRetry={() => void query.refetch()} retrying={query.isFetching} />}
      <Tabs<TabId>
        label="Parts of the instance"
        value={allowed ? tab : "overview"}
        onValue={(next) => void navigate({ search: { tab: next === "overview" ? undefined : next } })}
        tabs={tabs}
      >
        {allowed ? <TabBody tab={tab} instance={instance} canWrite={canWrite} providerKeys={providerKeys} /> : <NoRight tab={tab} role={session?.role ?? "none"} />}
      </Tabs>
    </Page>
  );
}

interface TabBodyProps {
  tab: TabId;
  instance: Instance;
  canWrite: boolean;
  providerKeys: ReactNode;
}

function TabBody({ tab, instance, canWrite, providerKeys }: TabBodyProps) {
  switch (tab) {
    case "overview":
      return <OverviewTab instance={instance} />;
    case "config":
      return <ConfigTab instance={instance} canWrite={canWrite} />;
    case "keys":
      return providerKeys;
    case "limits":
      return <LimitsTab instanceId={instance.instance_id} canWrite={canWrite} />;
    case "budgets":
      return <BudgetsTab instanceId={instance.instance_id} canWrite={canWrite} />;
    case "projects":
      return <ProjectsTab instanceId={instance.instance_id} />;
    case "deployments":
      return <DeploymentsTab instanceId={instance.instance_id} />;
    case "history":
      return <HistoryTab instance={instance} />;
    case "danger":
      return <DangerTab instance={instance} />;
  }
}

function StatusBanner({ instance, canWrite }: { instance: Instance; canWrite: boolean }) {
  switch (instance.status) {
    case "active":
      return null;
    case "paused":
      return (
        <Banner tone="warn" title="Paused: it takes no new work" action={canWrite && <PauseButton instance={instance} size="sm" />}>
          {pauseReason(instance.paused_reason)} What runs goes on. <PausedBy instance={instance} />
        </Banner>
      );
    case "deploying":
      return <Deploying instance={instance} canWrite={canWrite} />;
    case "deleting":
      return (
        <Banner tone="bad" title="Deleting: it takes no new work">
          The last step is on the tab Danger, and so is the way back.
        </Banner>
      );
  }
}

/** Who paused it and when, from the audit log, for those who may read that. */
function PausedBy({ instance }: { instance: Instance }) {
  const session = useSession();
  const mayRead = hasRole(session, "admin") && may(session, "audit:read");
  const found = useQuery({ ...pauseQuery(instance, hasRole(session, "superadmin")), enabled: mayRead }).data;
  if (found === undefined || found === null) return null;
  return (
    <>
      Since <Time at={found.at} />, by <code className="text-sm">{actorOf(found)}</code>.
    </>
  );
}

function NoRight({ tab, role }: { tab: TabId; role: string }) {
  const needed = TABS.find((candidate) => candidate.id === tab);
  const scope = needed !== undefined && "scope" in needed ? ` and the scope “${needed.scope}”` : "";
  return (
    <Panel>
      <EmptyState icon="lock" title={`The tab “${needed?.label ?? tab}” needs the role “admin”${scope}`}>
        You are signed in with the role “{role}”. An administrator of your organization can change that.
      </EmptyState>
    </Panel>
  );
}
