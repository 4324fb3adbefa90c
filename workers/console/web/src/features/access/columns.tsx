import { maskedKey } from "../../format/ids";
import { Badge, type Column, Id, Time } from "../../ui";
import { describeScopes, unusedDays } from "./model";
import { Chips, Late, RoleBadge, StateBadge } from "./parts";
import type { ApiKey, LiveSession, Organization, User } from "./types";

/** `organizations`: with the column of the organization; `null` for those who have one only. */
export function userColumns({ self, organizations }: { self: string; organizations: readonly Organization[] | null }): Column<User>[] {
  const organization = (user: User) =>
    user.org_id === null ? "Platform" : (organizations?.find(({ org_id }) => org_id === user.org_id)?.name ?? user.org_id);
  return [
    {
      id: "email",
      header: "Email",
      main: true,
      value: (user) => user.email,
      cell: (user) => (
        <span className="inline-flex max-w-full flex-wrap items-center gap-2">
          <span className="min-w-0 break-all md:break-normal">{user.email}</span>
          {user.user_id === self && <Badge tone="info">you</Badge>}
        </span>
      ),
    },
    { id: "name", header: "Name", value: (user) => user.name, cell: (user) => user.name || <span className="text-muted">–</span> },
    { id: "role", header: "Role", value: (user) => user.role, cell: (user) => <RoleBadge role={user.role} /> },
    ...(organizations === null ? [] : [{ id: "organization", header: "Organization", value: organization, cell: (user: User) => <Late name={organization(user)}>–</Late> }]),
    {
      id: "status",
      header: "Status",
      value: (user) => user.status,
      cell: (user) => (
        <Badge tone={user.status === "active" ? "good" : "bad"} dot>
          {user.status === "active" ? "Active" : "Disabled"}
        </Badge>
      ),
    },
    {
      id: "instances",
      header: "Instances",
      value: (user) => user.instances.join(" "),
      cell: (user) => (user.role === "user" ? <Chips items={user.instances} none="None" /> : <span className="text-muted">{user.role === "admin" ? "All of the organization" : "All"}</span>),
    },
    { id: "keys", header: "Keys", align: "end", value: (user) => user.keys, cell: (user) => user.keys },
    { id: "last_seen", header: "Last seen", value: (user) => user.last_seen_at, cell: (user) => <Time at={user.last_seen_at} relative /> },
    { id: "created", header: "Created", hidden: true, value: (user) => user.created_at, cell: (user) => <Time at={user.created_at} /> },
    { id: "user_id", header: "User id", hidden: true, value: (user) => user.user_id, cell: (user) => <Id id={user.user_id} what="user id" /> },
  ];
}

export interface KeyColumnsOptions {
  /** Name of a user or project; `undefined` while it is not known. */
  ownerName: (key: ApiKey) => string | undefined;
  /** The key that this session acts as. */
  ownKeyId: string;
  now: number;
}

export function keyColumns({ ownerName, ownKeyId, now }: KeyColumnsOptions): Column<ApiKey>[] {
  const owner = (key: ApiKey) => ownerName(key) ?? key.user_id ?? key.project_id ?? "";
  return [
    {
      id: "name",
      header: "Name",
      main: true,
      value: (key) => key.name,
      cell: (key) => (
        <span className="inline-flex max-w-full flex-wrap items-center gap-2">
          <span className="min-w-0 break-words">{key.name || "Unnamed"}</span>
          {key.key_id === ownKeyId && <Badge tone="info">this session</Badge>}
        </span>
      ),
    },
    { id: "key", header: "Key", value: (key) => key.key_id, cell: (key) => <code className="text-sm whitespace-nowrap">{maskedKey(key.key_id, key.last4)}</code> },
    {
      id: "state",
      header: "State",
      value: (key) => key.state,
      cell: (key) => {
        const days = unusedDays(key, now);
        return (
          <span className="inline-flex flex-wrap gap-1">
            <StateBadge state={key.state} />
            {days !== null && (
              <Badge tone="warn" dot>
                Unused {days} d
              </Badge>
            )}
          </span>
        );
      },
    },
    {
      id: "owner",
      header: "Owner",
      value: owner,
      cell: (key) => (
        <span className="inline-flex flex-wrap items-center gap-1.5">
          <Late name={ownerName(key)}>
            <Id id={key.user_id ?? key.project_id ?? ""} what="owner id" />
          </Late>
          {key.project_id !== null && <Badge>project</Badge>}
        </span>
      ),
    },
    { id: "scopes", header: "Scopes", value: (key) => key.scopes.join(" "), cell: (key) => <span title={key.scopes.join(", ")}>{describeScopes(key.scopes)}</span> },
    { id: "instances", header: "Instances", value: (key) => key.instance_ids?.join(" ") ?? "all", cell: (key) => (key.instance_ids === null ? <span className="text-muted">All</span> : <Chips items={key.instance_ids} none="None" />) },
    { id: "last_used", header: "Last used", value: (key) => key.last_used_at, cell: (key) => <Time at={key.last_used_at} relative /> },
    {
      id: "expires",
      header: "Expires",
      value: (key) => key.expires_at,
      cell: (key) => (key.expires_at === null ? <span className="text-muted">Never</span> : <Time at={key.expires_at} relative />),
    },
    { id: "previous", header: "Old secret ends", hidden: true, value: (key) => key.prev_expires_at, cell: (key) => (key.prev_expires_at === null ? <span className="text-muted">–</span> : <Time at={key.prev_expires_at} relative />) },
    { id: "created_by", header: "Created by", hidden: true, value: (key) => key.created_by, cell: (key) => <Id id={key.created_by} what="principal" /> },
    { id: "created", header: "Created", hidden: true, value: (key) => key.created_at, cell: (key) => <Time at={key.created_at} /> },
    { id: "key_id", header: "Key id", hidden: true, value: (key) => key.key_id, cell: (key) => <Id id={key.key_id} what="key id" full /> },
  ];
}

export function sessionColumns({ keyName, userName }: { keyName: (id: string) => string | undefined; userName: ((id: string) => string | undefined) | null }): Column<LiveSession>[] {
  return [
    {
      id: "label",
      header: "Client",
      main: true,
      value: (session) => session.label,
      cell: (session) => (
        <span className="inline-flex max-w-full flex-wrap items-center gap-2">
          <span className="min-w-0 break-words">{session.label || "Unnamed client"}</span>
          {session.current && <Badge tone="info">this session</Badge>}
        </span>
      ),
    },
    ...(userName === null ? [] : [{ id: "user", header: "User", value: (session: LiveSession) => userName(session.user_id) ?? session.user_id, cell: (session: LiveSession) => userName(session.user_id) ?? <Id id={session.user_id} what="user id" /> }]),
    { id: "key", header: "Acts as key", value: (session) => keyName(session.key_id) ?? session.key_id, cell: (session) => <Late name={keyName(session.key_id)}><code className="text-sm">{maskedKey(session.key_id)}</code></Late> },
    { id: "created", header: "Signed in", value: (session) => session.created_at, cell: (session) => <Time at={session.created_at} relative /> },
    { id: "last_used", header: "Last used", value: (session) => session.last_used_at, cell: (session) => <Time at={session.last_used_at} relative /> },
    { id: "expires", header: "Ends", value: (session) => session.expires_at, cell: (session) => <Time at={session.expires_at} relative /> },
    { id: "session_id", header: "Session id", hidden: true, value: (session) => session.session_id, cell: (session) => <Id id={session.session_id} what="session id" /> },
  ];
}
