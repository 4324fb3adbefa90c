import { getRouteApi } from "@tanstack/react-router";
import { useMemo, useRef, useState } from "react";
import { configService, unwrap } from "../../api/client";
import { useOfflineReason } from "../../api/connection_hooks";
import { keys } from "../../api/keys";
import { useCursorList } from "../../api/pages";
import { hasRole, useSession } from "../../api/session";
import { snippets } from "../../api/snippets";
import { useWrite } from "../../api/write";
import { useRowKeys } from "../../keyboard";
import { Button, CodeDisclosure, Combobox, DataTable, Dialog, EmptyState, Field, FilterBar, Panel, StaleBadge, toast } from "../../ui";
import { sessionColumns } from "./columns";
import { useOwners } from "./owners";
import { FormError } from "./parts";
import { apiKeysPage, REFRESH_MS, sessionsPage } from "./queries";
import type { LiveSession } from "./types";

const route = getRouteApi("/framed/admin/keys");

export function SessionsTab() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const session = useSession();
  const owners = useOwners();
  const [ending, setEnding] = useState<LiveSession | null>(null);
  const box = useRef<HTMLDivElement>(null);
  useRowKeys(box);

  const user = search.user ?? session?.userId;
  const list = useCursorList({ queryKey: keys.sessions({ user_id: search.user }), fetchPage: sessionsPage(search.user), refetchInterval: REFRESH_MS });
  const owned = useCursorList({ queryKey: keys.apiKeys({ user_id: user }), fetchPage: apiKeysPage({ user_id: user }) }).rows;
  const columns = useMemo(() => sessionColumns({ keyName: (id) => owned?.find((key) => key.key_id === id)?.name, userName: null }), [owned]);
  const people = owners.all.filter((owner) => owner.kind === "user");

  return (
    <div className="flex flex-col gap-4">
      {hasRole(session, "admin") && (
        <FilterBar
          active={search.user !== undefined}
          onClear={() => void navigate({ search: (old) => ({ ...old, user: undefined }), replace: true })}
          actions={<StaleBadge updatedAt={list.updatedAt} intervalMs={REFRESH_MS} />}
        >
          <Field label="User" hideLabel className="w-full sm:w-72">
            <Combobox
              value={user ?? null}
              onValue={(id) => void navigate({ search: (old) => ({ ...old, user: id === null || id === session?.userId ? undefined : id }), replace: true })}
              options={people.map(({ id, label }) => ({ value: id, label }))}
              placeholder="Choose a user"
            />
          </Field>
        </FilterBar>
      )}
      <Panel flush>
        <DataTable
          ref={box}
          caption="Live sessions"
          columns={columns}
          list={list}
          rowId={(row) => row.session_id}
          rowName={(row) => row.label || row.session_id}
          actions={(row) => [
            {
              label: "End session",
              icon: "signOut",
              danger: true,
              reason: row.session_id === session?.sessionId ? "You are in it. Sign out in the menu at the top right." : undefined,
              onSelect: () => setEnding(row),
            },
          ]}
          state={{ sort: search.sort, columns: search.columns }}
          onState={({ sort, columns: shown }) => void navigate({ search: (old) => ({ ...old, sort, columns: shown === undefined ? undefined : [...shown] }), replace: true })}
          empty={
            <EmptyState icon="desktop" title="No live sessions">
              A session begins with a sign-in to the console and ends after 12 hours, or with its key.
            </EmptyState>
          }
        />
      </Panel>
      {ending !== null && <EndSession session={ending} onClose={() => setEnding(null)} />}
    </div>
  );
}

function EndSession({ session, onClose }: { session: LiveSession; onClose: () => void }) {
  const offline = useOfflineReason();
  const end = useWrite({
    write: "session.end",
    send: () => unwrap(configService.DELETE("/session/{session_id}", { params: { path: { session_id: session.session_id } } })),
    onDone: () => {
      toast({ tone: "good", title: "Session ended", text: "No worker accepts it after 5 seconds. Its key still works." });
      onClose();
    },
  });
  return (
    <Dialog
      open
      size="sm"
      title="End session"
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button tone="danger" busy={end.isPending} reason={offline} onClick={() => end.mutate()}>
            End session
          </Button>
        </>
      }
    >
      <div className="flex flex-col gap-3">
        <p>
          <strong>{session.label || session.session_id}</strong> is signed out. Its key is not touched; revoke the key to keep its holder out.
        </p>
        <FormError error={end.error} />
        <CodeDisclosure code={snippets({ method: "DELETE", path: `/api/config-service/session/${session.session_id}` }, location.origin)} />
      </div>
    </Dialog>
  );
}
