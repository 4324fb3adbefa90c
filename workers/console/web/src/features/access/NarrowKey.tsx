import { useRef, useState } from "react";
import { configService, unwrap } from "../../api/client";
import { useOfflineReason } from "../../api/connection_hooks";
import { useSession } from "../../api/session";
import { snippets } from "../../api/snippets";
import { useWrite } from "../../api/write";
import { Button, CodeDisclosure, Dialog, Field, focusFirstError, MultiSelect, TextInput, toast, useNow } from "../../ui";
import { dateFault, type KeyMembers, nameFault, narrowOnto, scopesOf } from "./model";
import { Overtaken } from "./Overtaken";
import { useOwners } from "./owners";
import { FormError } from "./parts";
import { useAllInstances } from "./queries";
import { ScopePicker } from "./ScopePicker";
import type { ApiKey, Scope } from "./types";

/** Another name, or less than before; more needs a new key. */
export function NarrowKey({ apiKey, onClose }: { apiKey: ApiKey; onClose: () => void }) {
  const offline = useOfflineReason();
  const session = useSession();
  const owners = useOwners();
  const now = useNow(60_000);
  const box = useRef<HTMLDivElement>(null);
  const [key, setKey] = useState(apiKey);
  const [theirs, setTheirs] = useState<ApiKey | null>(null);
  const owner = owners.all.find(({ id }) => id === (key.user_id ?? key.project_id));
  const scopesHad = (of: ApiKey) => (of.scopes.includes("*") ? scopesOf(owner?.role ?? "user", owner?.kind ?? "user") : of.scopes);
  const members = (of: ApiKey): KeyMembers => ({ name: of.name, scopes: scopesHad(of), instance_ids: of.instance_ids, expires_at: of.expires_at });
  const had = scopesHad(key);
  const listed = useAllInstances().data;
  const reachable = key.instance_ids ?? listed?.map((one) => one.instance_id) ?? session?.instances.map((one) => one.instance_id) ?? [];

  const [name, setName] = useState(key.name);
  /** `null`: as they are. */
  const [scopes, setScopes] = useState<Scope[] | null>(null);
  const [instances, setInstances] = useState<string[] | null>(null);
  const [date, setDate] = useState("");
  const shown = scopes ?? had;
  const end = date === "" ? null : `${date}T23:59:59.000Z`;
  const faults = {
    name: nameFault(name, true),
    scopes: shown.length === 0 ? "A key keeps one scope at least. Revoke it to end it." : undefined,
    instances: instances?.length === 0 ? (key.instance_ids === null ? undefined : "A key keeps one instance at least.") : undefined,
    date: end === null ? undefined : (dateFault(date, now) ?? (key.expires_at !== null && end > key.expires_at ? "It ends earlier already. A key can only be narrowed." : undefined)),
  };
  const narrowed = scopes !== null && !(scopes.length === had.length);
  const reach = instances !== null && instances.length > 0 && instances.join() !== (key.instance_ids ?? []).join() ? instances : undefined;
  const patch = {
    ...(name.trim() === key.name ? {} : { name: name.trim() }),
    ...(narrowed ? { scopes } : {}),
    ...(reach === undefined ? {} : { instance_ids: reach }),
    ...(end === null ? {} : { expires_at: end }),
  };
  const save = useWrite({
    write: "api-key.update",
    send: (body: typeof patch) =>
      unwrap(configService.PATCH("/api-key/{key_id}", { params: { path: { key_id: key.key_id }, header: { "If-Match": `"${key.version}"` } }, body })),
    onDone: () => {
      toast({ tone: "good", title: `“${name.trim()}” saved`, text: "It holds everywhere within 5 seconds, for its sessions too." });
      onClose();
    },
  });
  const wanted: KeyMembers = { name: name.trim(), scopes: shown, instance_ids: reach ?? key.instance_ids, expires_at: end ?? key.expires_at };
  const rebase = (standing: ApiKey, keepMine: boolean) => {
    const result = keepMine ? narrowOnto(members(key), wanted, members(standing)) : members(standing);
    setName(result.name);
    setScopes(result.scopes.length === members(standing).scopes.length ? null : (result.scopes as Scope[]));
    setInstances(result.instance_ids?.join() === standing.instance_ids?.join() ? null : [...(result.instance_ids ?? [])]);
    setDate(result.expires_at === standing.expires_at || result.expires_at === null ? "" : result.expires_at.slice(0, 10));
    setKey(standing);
    setTheirs(null);
    save.reset();
  };
  const error = (field: keyof typeof faults, pointer: string) => faults[field] ?? save.error?.fieldError(pointer);
  const errors = {
    name: error("name", "/name"),
    scopes: error("scopes", "/scopes"),
    instances: error("instances", "/instance_ids"),
    date: error("date", "/expires_at"),
  };
  const submit = () => {
    if (Object.values(faults).some((fault) => fault !== undefined)) focusFirstError(box.current);
    else if (Object.keys(patch).length === 0) onClose();
    else {
      save.mutate(patch, {
        onError: (refused) => {
          const current = refused.details["current"];
          if (refused.code === "version_mismatch" && typeof current === "object" && current !== null) setTheirs({ ...key, ...(current as Partial<ApiKey>) });
          else focusFirstError(box.current);
        },
      });
    }
  };

  if (theirs !== null) {
    return (
      <Dialog open title={`Narrow “${apiKey.name}”`} onClose={onClose} footer={<Button onClick={onClose}>Cancel</Button>}>
        <Overtaken
          what="key"
          base={members(key)}
          theirs={members(theirs)}
          mine={wanted}
          none="They changed nothing that this form shows; it may have been rotated."
          onTheirs={() => rebase(theirs, false)}
          onMine={() => rebase(theirs, true)}
        />
      </Dialog>
    );
  }

  return (
    <Dialog
      open
      title={`Narrow “${apiKey.name}”`}
      description="The name changes freely. Scopes, instances and the end can only become less; for more, create a new key."
      onClose={onClose}
      onSubmit={submit}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" tone="primary" busy={save.isPending} reason={offline}>
            Save
          </Button>
        </>
      }
    >
      <div ref={box} className="flex flex-col gap-4">
        <Field label="Name" required error={errors.name}>
          <TextInput value={name} onValue={setName} />
        </Field>
        <ScopePicker value={shown} onValue={setScopes} offered={had} grantable={had} error={errors.scopes} legend="Scopes to keep" />
        {key.project_id === null && (
          <Field label="Instances" help={key.instance_ids === null ? "All now. Choose some to restrict it to them." : "Remove those it shall not reach any more."} error={errors.instances}>
            <MultiSelect value={instances ?? key.instance_ids ?? []} onValue={setInstances} options={reachable.map((id) => ({ value: id, label: id }))} placeholder="All instances" />
          </Field>
        )}
        <Field label="Last day (UTC)" aside="optional" help={key.expires_at === null ? "It has no end now." : `It ends on ${key.expires_at.slice(0, 10)} now.`} error={errors.date}>
          <TextInput type="date" value={date} onValue={setDate} />
        </Field>
        <FormError error={save.error} fields={Object.values(errors)} />
        <CodeDisclosure
          code={snippets({ method: "PATCH", path: `/api/config-service/api-key/${key.key_id}`, headers: { "If-Match": `"${key.version}"` }, body: patch }, location.origin)}
        />
      </div>
    </Dialog>
  );
}
