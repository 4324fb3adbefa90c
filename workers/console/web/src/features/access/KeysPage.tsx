import { getRouteApi } from "@tanstack/react-router";
import { useState } from "react";
import { hasRole, may, useSession } from "../../api/session";
import { useShortcuts } from "../../keyboard";
import { Banner, Button, Page, Tabs } from "../../ui";
import { CreateKey } from "./CreateKey";
import { KeysTab } from "./KeysTab";
import { RotateKey } from "./RotateKey";
import { SessionsTab } from "./SessionsTab";
import { type NewSecret, ShowKey } from "./ShowKey";
import type { ApiKey } from "./types";

const route = getRouteApi("/framed/admin/keys");

export function KeysPage() {
  const session = useSession();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const [creating, setCreating] = useState(false);
  /** Lives here and nowhere else, until it is confirmed as stored. */
  const [secret, setSecret] = useState<NewSecret | null>(null);
  const [rotating, setRotating] = useState<ApiKey | null>(null);
  const rotateMade = (key: ApiKey) => {
    setCreating(false);
    setRotating(key);
  };
  const writes = may(session, "keys:write");
  const isAdmin = hasRole(session, "admin");
  const tab = search.tab ?? "keys";
  useShortcuts("Keys", writes ? [{ keys: "n", does: "Create key", run: () => setCreating(true) }] : []);

  return (
    <Page
      title="Keys"
      lead={isAdmin ? "API keys of people and projects, and who is signed in with them." : "Your API keys, and where you are signed in."}
      actions={
        writes &&
        tab === "keys" && (
          <Button tone="primary" icon="plus" onClick={() => setCreating(true)}>
            Create key
          </Button>
        )
      }
    >
      {!writes && tab === "keys" && (
        <Banner title="You can look, not change">The key of this session lacks the scope keys:write. Sign in with a key that has it.</Banner>
      )}
      <Tabs
        label="Keys"
        value={tab}
        tabs={[
          { id: "keys", label: "Keys" },
          { id: "sessions", label: "Sessions" },
        ]}
        onValue={(id) => void navigate({ search: ({ instance }) => ({ instance, tab: id === "keys" ? undefined : id }) })}
      >
        {tab === "keys" ? <KeysTab onSecret={setSecret} /> : <SessionsTab />}
      </Tabs>
      {creating && <CreateKey owner={search.owner} onClose={() => setCreating(false)} onSecret={setSecret} onRotate={rotateMade} />}
      {rotating !== null && <RotateKey apiKey={rotating} onClose={() => setRotating(null)} onSecret={setSecret} />}
      {secret !== null && <ShowKey secret={secret} onClose={() => setSecret(null)} />}
    </Page>
  );
}
