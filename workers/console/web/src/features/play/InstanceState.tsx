/** What keeps the chosen instance from making pictures, and the way out for those who have one. */
import { Link } from "@tanstack/react-router";
import { hasRole, type InstanceRef, type Session, useSession } from "../../api/session";
import { Banner, buttonClass, EmptyState, Icon, Panel, Time } from "../../ui";
import { mayLackKey, movedHosts } from "./model";
import { type Caller, useInstanceFacts, usePausedSince } from "./queries";

/** Nobody but an administrator gets a link that leads to something they can do. */
export function NoInstance({ admin }: { admin: boolean }) {
  return (
    <Banner
      tone="warn"
      title="You have no instance yet"
      action={
        admin && (
          <Link to="/admin/instances" className={buttonClass("primary", "sm")}>
            <Icon name="plus" size={14} />
            Create an instance
          </Link>
        )
      }
    >
      {admin ? "Create one, then make its first picture here." : "Ask an administrator for access to one."}
    </Banner>
  );
}

export interface InactiveProps {
  caller: Caller;
  session: Session | null;
  instance: InstanceRef;
  /** An answer said so, whatever the list of instances says. */
  refused: boolean;
}

/** The instance takes no new work: which state, why, since when. */
export function Inactive({ caller, session, instance, refused }: InactiveProps) {
  const { instance_id: id, name } = instance;
  const facts = useInstanceFacts(caller, id, refused || instance.status !== "active");
  const status = facts?.status ?? instance.status;
  const admin = caller.apiKey === null && hasRole(session, "admin");
  const since = usePausedSince(facts, admin && status === "paused" ? session : null);
  const way = (label: string, tab: "deployments" | "danger" | undefined) =>
    admin && (
      <Link to="/admin/instances/$id" params={{ id }} search={{ tab }} className={buttonClass("secondary", "sm")}>
        {label}
      </Link>
    );
  if (status === "paused") {
    return (
      <Banner tone="warn" title={`${name} is paused: it takes no new work`} action={way("Open the instance", undefined)}>
        {reasonOf(facts?.paused_reason)}
        {since !== undefined && (
          <>
            Since <Time at={since} />.{" "}
          </>
        )}
        What runs goes on, and its pictures can be seen. {!admin && "Ask an administrator to resume it."}
      </Banner>
    );
  }
  if (status === "deploying") {
    return (
      <Banner tone="info" title={`${name} is being deployed: it takes no work yet`} action={way("See its deployments", "deployments")}>
        It takes work when its workers are deployed. Until then choose another instance.
      </Banner>
    );
  }
  if (status === "deleting") {
    return (
      <Banner tone="bad" title={`${name} is being deleted: it takes no new work`} action={way("Open the instance", "danger")}>
        Choose another instance.
      </Banner>
    );
  }
  return null;
}

function reasonOf(reason: string | null | undefined): string {
  if (reason === null || reason === undefined || reason === "") return "";
  if (reason === "cost_guard") return "The cost guard paused it: its spending reached the limit. ";
  return `${reason.replace(/\.$/, "")}. `;
}

/** After a refusal that a provider key cures, for those who may enter one. */
export function KeysLink({ code, instanceId }: { code: string; instanceId: string | undefined }) {
  const session = useSession();
  if (!mayLackKey(code) || instanceId === undefined || !hasRole(session, "admin")) return null;
  if (session?.instances.every((instance) => instance.instance_id !== instanceId) !== false) return null;
  return (
    <Link to="/admin/instances/$id" params={{ id: instanceId }} search={{ tab: "keys" }} className={buttonClass("secondary", "sm")}>
      <Icon name="key" size={14} />
      Provider keys
    </Link>
  );
}

/** A stored key was entered for another host: the same words as on the instance's page of keys. */
export function MovedHosts({ caller, instanceId, wanted }: { caller: Caller; instanceId: string; wanted: boolean }) {
  const session = useSession();
  const moved = movedHosts(useInstanceFacts(caller, instanceId, wanted));
  if (!wanted || moved.length === 0) return null;
  const admin = caller.apiKey === null && hasRole(session, "admin");
  return (
    <Banner tone="bad" title={`${moved.join(", ")}: the stored key was entered for another host`}>
      The provider's base URL moved to another host since then, so the key is not sent there.{" "}
      {admin ? "Enter it again for the new host, on the instance's page of provider keys." : "Ask an administrator to enter it again for the new host."}
    </Banner>
  );
}

/** No provider of the instance can be asked. */
export function NoProviderKey({ caller, instanceId, admin }: { caller: Caller; instanceId: string; admin: boolean }) {
  const moved = movedHosts(useInstanceFacts(caller, instanceId, true)).length > 0;
  return (
    <Panel>
      {moved && (
        <div className="mb-4">
          <MovedHosts caller={caller} instanceId={instanceId} wanted />
        </div>
      )}
      <EmptyState
        icon="key"
        title={moved ? "No provider key that can be used" : "No provider key yet"}
        action={
          admin && (
            <Link to="/admin/instances/$id" params={{ id: instanceId }} search={{ tab: "keys" }} className={buttonClass("primary", "md")}>
              Set a provider key
            </Link>
          )
        }
      >
        No provider of <strong>{instanceId}</strong> has a key{moved && " for its host"}, so nothing can draw a picture.{" "}
        {admin ? "Enter one, and its models are listed here." : "Ask an administrator to enter one."}
      </EmptyState>
    </Panel>
  );
}
