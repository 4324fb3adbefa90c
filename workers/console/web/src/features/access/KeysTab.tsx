import { getRouteApi } from "@tanstack/react-router";
import { useMemo, useRef, useState } from "react";
import { keys } from "../../api/keys";
import { allPages, useCursorList, useNamedRow } from "../../api/pages";
import { hasRole, useSession } from "../../api/session";
import { snippets } from "../../api/snippets";
import { useRowKeys } from "../../keyboard";
import { Button, Checkbox, CodeTabs, Combobox, DataTable, EmptyState, Field, FilterBar, type MenuEntry, MissingRow, Panel, Select, StaleBadge, useNow } from "../../ui";
import { keyColumns } from "./columns";
import { KeyDetails } from "./KeyDetails";
import { keyGuard, STATES } from "./model";
import { NarrowKey } from "./NarrowKey";
import { useOwners } from "./owners";
import { useCaller } from "./parts";
import { apiKeysPage, type KeyFilters, oneKey, REFRESH_MS } from "./queries";
import { RevokeKey } from "./RevokeKey";
import { RotateKey } from "./RotateKey";
import type { NewSecret } from "./ShowKey";
import type { ApiKey, KeyState } from "./types";

const route = getRouteApi("/framed/admin/keys");
type Open = { what: "rotate" | "narrow" | "revoke"; key: ApiKey };

export function KeysTab({ onSecret }: { onSecret: (secret: NewSecret) => void }) {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const session = useSession();
  const caller = useCaller();
  const owners = useOwners();
  const now = useNow(60_000);
  const [open, setOpen] = useState<Open | null>(null);
  const box = useRef<HTMLDivElement>(null);
  useRowKeys(box);

  const byProject = owners.isProject(search.owner);
  const filters: KeyFilters = {
    user_id: byProject ? undefined : search.owner,
    project_id: byProject ? search.owner : undefined,
    status: search.status,
    unused_days: search.unused === true ? 90 : undefined,
  };
  const fetchPage = apiKeysPage(filters);
  const list = useCursorList({ queryKey: keys.apiKeys({ ...filters }), fetchPage, refetchInterval: REFRESH_MS });
  const { nameOf } = owners;
  const columns = useMemo(() => keyColumns({ ownerName: nameOf, ownKeyId: caller.keyId, now }), [nameOf, caller.keyId, now]);
  const filtered = search.owner !== undefined || search.status !== undefined || search.unused !== undefined;
  const change = (next: Partial<typeof search>) => void navigate({ search: (old) => ({ ...old, ...next }), replace: true });
  const clear = () => change({ owner: undefined, status: undefined, unused: undefined });

  // Opening is a step of its own, so Back closes what is open.
  const show = (key: ApiKey | undefined) => void navigate({ search: (old) => ({ ...old, open: key?.key_id }), replace: key === undefined });
  const named = useNamedRow<ApiKey>({ id: search.open, rows: list.rows, idOf: (key) => key.key_id, queryKey: keys.apiKey(search.open ?? ""), fetchRow: oneKey });
  const shown = named.row;

  const actions = (key: ApiKey): MenuEntry[] => [
    { label: "Details", icon: "info", onSelect: () => show(key) },
    { label: "Rotate", icon: "arrowClockwise", reason: keyGuard(caller, key, "rotate"), onSelect: () => setOpen({ what: "rotate", key }) },
    { label: "Rename or narrow", icon: "sliders", reason: keyGuard(caller, key, "narrow"), onSelect: () => setOpen({ what: "narrow", key }) },
    null,
    { label: "Revoke", icon: "prohibit", danger: true, reason: keyGuard(caller, key, "revoke"), onSelect: () => setOpen({ what: "revoke", key }) },
  ];

  return (
    <div className="flex flex-col gap-4">
      <FilterBar active={filtered} onClear={clear} actions={<StaleBadge updatedAt={list.updatedAt} intervalMs={REFRESH_MS} />}>
        {hasRole(session, "admin") && (
          <Field label="Owner" hideLabel className="w-full sm:w-72">
            <Combobox value={search.owner ?? null} onValue={(owner) => change({ owner: owner ?? undefined })} options={owners.options} placeholder="All owners" />
          </Field>
        )}
        <Field label="State" hideLabel className="w-40">
          <Select
            value={search.status ?? ""}
            onValue={(status) => change({ status: status === "" ? undefined : status })}
            options={[
              { value: "", label: "Any state" },
              ...(Object.keys(STATES) as KeyState[]).map((state) => ({ value: state, label: STATES[state].word })),
            ]}
          />
        </Field>
        <div className="flex h-9 items-center px-1">
          <Checkbox checked={search.unused === true} onChecked={(on) => change({ unused: on ? true : undefined })} label="Unused for 90 days" />
        </div>
      </FilterBar>
      <MissingRow what="key" error={named.error} onClose={() => show(undefined)} />
      <Panel flush>
        <DataTable
          ref={box}
          caption="API keys"
          columns={columns}
          list={list}
          rowId={(key) => key.key_id}
          rowName={(key) => key.name || key.key_id}
          onOpen={show}
          selectedId={search.open}
          actions={actions}
          state={{ sort: search.sort, columns: search.columns }}
          onState={({ sort, columns }) => change({ sort, columns: columns === undefined ? undefined : [...columns] })}
          exportRows={(signal, onProgress) => allPages(fetchPage, signal, onProgress)}
          empty={
            filtered ? (
              <EmptyState icon="key" title="No key matches" action={<Button onClick={clear}>Clear filters</Button>}>
                There is no key of this owner in this state.
              </EmptyState>
            ) : (
              <EmptyState
                icon="key"
                title="No keys yet"
                code={<CodeTabs code={snippets({ method: "POST", path: "/api/config-service/api-key", body: { name: "laptop" } }, location.origin)} />}
              >
                A key signs in to this console and calls the API.
              </EmptyState>
            )
          }
        />
      </Panel>
      {shown !== undefined && <KeyDetails apiKey={shown} owner={nameOf(shown)} onClose={() => show(undefined)} />}
      {open?.what === "rotate" && <RotateKey apiKey={open.key} onClose={() => setOpen(null)} onSecret={onSecret} />}
      {open?.what === "narrow" && <NarrowKey apiKey={open.key} onClose={() => setOpen(null)} />}
      {open?.what === "revoke" && <RevokeKey apiKey={open.key} onClose={() => setOpen(null)} />}
    </div>
  );
}
