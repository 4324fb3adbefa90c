import type { ReactNode } from "react";
import { hasRole, type Role, useSession } from "../../api/session";
import { EmptyState, Page } from "../../ui";

/** The page for those with the role; for others what it needs and whom to ask. */
export function NeedsRole({ role, children }: { role: Role; children: ReactNode }) {
  const session = useSession();
  if (hasRole(session, role)) return children;
  return (
    <Page title="Not for your role">
      <EmptyState icon="lock" title={`This page needs the role “${role}”`}>
        You are signed in as {session?.email ?? "nobody"} with the role “{session?.role ?? "none"}”. An administrator of your organization can
        change that.
      </EmptyState>
    </Page>
  );
}
