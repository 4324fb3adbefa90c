import { getRouteApi } from "@tanstack/react-router";
import { useState } from "react";
import { hasRole, may, useSession } from "../../api/session";
import { useShortcuts } from "../../keyboard";
import { Button, Page, Panel, Tabs } from "../../ui";
import { AccessMatrix } from "./AccessMatrix";
import { CreateUser } from "./CreateUser";
import { CreateOrganization, OrganizationsTab } from "./OrganizationsTab";
import { NeedsScope } from "./parts";
import { useAllOrganizations } from "./queries";
import { UsersTab } from "./UsersTab";

const route = getRouteApi("/framed/admin/users");
type Tab = "users" | "access" | "organizations";

export function UsersPage() {
  const session = useSession();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const [creating, setCreating] = useState<"user" | "organization" | null>(null);
  const isSuper = hasRole(session, "superadmin");
  const organizations = useAllOrganizations(isSuper && may(session, "config:read")).data;
  const tab: Tab = search.tab === "organizations" && !isSuper ? "users" : (search.tab ?? "users");
  const writes = may(session, "config:write");
  const creates = tab === "organizations" ? "organization" : "user";
  useShortcuts("Users", writes ? [{ keys: "n", does: creates === "user" ? "Create user" : "Create organization", run: () => setCreating(creates) }] : []);

  if (!may(session, "config:read")) {
    return (
      <Page title="Users">
        <Panel>
          <NeedsScope scope="config:read">Sign in with a key that has it, or create one that does.</NeedsScope>
        </Panel>
      </Page>
    );
  }
  const tabs = [
    { id: "users" as const, label: "Users" },
    { id: "access" as const, label: "Instance access" },
    ...(isSuper ? [{ id: "organizations" as const, label: "Organizations" }] : []),
  ];
  return (
    <Page
      title="Users"
      lead={isSuper ? "People of all organizations, and which instances they may use." : "People of your organization, and which instances they may use."}
      actions={
        // The only one, also where a list is empty: it does not come and go with the rows.
        writes && (
          <Button tone="primary" icon="plus" onClick={() => setCreating(creates)}>
            {creates === "user" ? "Create user" : "Create organization"}
          </Button>
        )
      }
    >
      <Tabs
        label="Users"
        value={tab}
        tabs={tabs}
        // The other tabs have filters of their own; the organization is common to them.
        onValue={(id) => void navigate({ search: ({ instance, org }) => ({ instance, org, tab: id === "users" ? undefined : id }) })}
      >
        {tab === "users" && <UsersTab organizations={organizations} />}
        {tab === "access" && <AccessMatrix organizations={organizations} />}
        {tab === "organizations" && <OrganizationsTab />}
      </Tabs>
      {creating === "user" && <CreateUser organizations={organizations} onClose={() => setCreating(null)} />}
      {creating === "organization" && <CreateOrganization onClose={() => setCreating(null)} />}
    </Page>
  );
}
