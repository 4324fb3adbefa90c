import { Badge, Banner, Button, Drawer, Facts, Id, Time } from "../../ui";
import { STATES } from "./model";
import { StateBadge } from "./parts";
import { Deadlines } from "./ShowKey";
import type { ApiKey } from "./types";

export function KeyDetails({ apiKey: key, owner, onClose }: { apiKey: ApiKey; owner: string | undefined; onClose: () => void }) {
  return (
    <Drawer open title={key.name || key.key_id} onClose={onClose} footer={<Button onClick={onClose}>Close</Button>}>
      <div className="flex flex-col gap-5">
        <p className="flex flex-wrap items-center gap-2">
          <StateBadge state={key.state} /> {STATES[key.state].means}
        </p>
        {key.state === "rotating" && <Deadlines oldEndsAt={key.prev_expires_at} newEndsAt={key.expires_at} />}
        {key.state === "orphaned" && <Banner tone="warn" title="It is refused as long as its owner is not active">Enable the owner, or revoke the key.</Banner>}
        <Facts
          columns={1}
          facts={[
            { name: "Key id", value: <Id id={key.key_id} what="key id" full /> },
            { name: "Owner", value: owner ?? <Id id={key.user_id ?? key.project_id ?? ""} what="owner id" /> },
            { name: "Scopes", value: <List items={key.scopes.includes("*") ? ["All of the role"] : key.scopes} /> },
            { name: "Instances", value: key.instance_ids === null ? "All" : <List items={key.instance_ids} /> },
            { name: "Created", value: <Time at={key.created_at} /> },
            { name: "Created by", value: <Id id={key.created_by} what="principal" full /> },
            { name: "Last used", value: <Time at={key.last_used_at} relative /> },
            { name: "Expires", value: key.expires_at === null ? "Never" : <Time at={key.expires_at} /> },
            { name: "Secret", value: `Number ${key.secret_version}, ends in ${key.last4}` },
            { name: "Secret first used", value: key.secret_first_used_at === null ? "Never" : <Time at={key.secret_first_used_at} /> },
            ...(key.rotated_at === null ? [] : [{ name: "Rotated", value: <Time at={key.rotated_at} /> }]),
            ...(key.revoked_at === null ? [] : [{ name: "Revoked", value: <Time at={key.revoked_at} /> }]),
          ]}
        />
      </div>
    </Drawer>
  );
}

function List({ items }: { items: readonly string[] }) {
  return (
    <span className="flex flex-wrap gap-1">
      {items.map((item) => (
        <Badge key={item}>{item}</Badge>
      ))}
    </span>
  );
}
