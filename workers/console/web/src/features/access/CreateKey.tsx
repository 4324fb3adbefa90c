import { useQuery } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { configService, unwrap } from "../../api/client";
import { useOfflineReason } from "../../api/connection_hooks";
import { keys } from "../../api/keys";
import { hasRole, useSession } from "../../api/session";
import { snippets } from "../../api/snippets";
import { useIdempotencyKey, useWrite } from "../../api/write";
import { Banner, Button, CodeDisclosure, Combobox, Dialog, Field, focusFirstError, MultiSelect, RadioGroup, Select, TextInput, useNow } from "../../ui";
import { dateFault, endOf, grantable, type Life, nameFault, PROJECT_SCOPES, scopesOf, works } from "./model";
import { useOwners } from "./owners";
import { FormError } from "./parts";
import { apiKeysPage, useAllInstances } from "./queries";
import { ScopePicker } from "./ScopePicker";
import type { NewSecret } from "./ShowKey";
import type { ApiKey, Scope } from "./types";

interface NewKey {
  name: string;
  user_id?: string;
  project_id?: string;
  scopes?: Scope[];
  instance_ids?: string[];
  expires_at?: string | null;
}

interface CreateKeyProps {
  /** Chosen beforehand: the owner that the list is filtered by. */
  owner: string | undefined;
  onClose: () => void;
  onSecret: (secret: NewSecret) => void;
  /** The key was made and its secret is lost: another secret for it. */
  onRotate: (key: ApiKey) => void;
}

const LIFE_WORDS: readonly { value: Life; label: string }[] = [
  { value: "30", label: "30 days" },
  { value: "7", label: "7 days" },
  { value: "90", label: "90 days" },
  { value: "365", label: "1 year" },
  { value: "date", label: "On a day…" },
  { value: "never", label: "Never" },
];

export function CreateKey({ owner: preset, onClose, onSecret, onRotate }: CreateKeyProps) {
  const session = useSession();
  const offline = useOfflineReason();
  const owners = useOwners();
  const box = useRef<HTMLDivElement>(null);
  const [ownerId, setOwner] = useState<string | null>(preset ?? session?.userId ?? null);
  const [name, setName] = useState("");
  const [everything, setEverything] = useState<"all" | "some">("all");
  const [chosen, setChosen] = useState<Scope[] | null>(null);
  const [reach, setReach] = useState<"all" | "some">("all");
  const [instances, setInstances] = useState<string[]>([]);
  const [life, setLife] = useState<Life>("90");
  const [date, setDate] = useState("");
  const [tried, setTried] = useState(false);
  const [started] = useState(Date.now);
  const now = useNow(60_000);
  const { keyFor } = useIdempotencyKey();

  const owner = owners.all.find(({ id }) => id === ownerId);
  // What it may do depends on whose it is: a click meanwhile would be a refusal that nobody sees.
  const waiting = ownerId !== null && owner === undefined && owners.loading ? "The owners are being loaded." : undefined;
  const ofProject = owner?.kind === "project";
  const permissions = session?.permissions ?? [];
  const offered = scopesOf(owner?.role ?? "user", owner?.kind ?? "user");
  const may = grantable(offered, permissions);
  // `*` counts as all that the role allows, so it can be given only by who has all of it.
  const canAll = !ofProject && may.length === offered.length;
  const all = canAll && everything === "all";
  const scopes = (chosen ?? (ofProject ? PROJECT_SCOPES : may)).filter((scope) => may.includes(scope));
  const listed = useAllInstances(hasRole(session, "superadmin") ? (owner?.orgId ?? undefined) : undefined).data;
  const reachable = listed?.map((one) => one.instance_id) ?? session?.instances.map((one) => one.instance_id) ?? [];

  const faults = {
    owner: owner === undefined ? "Choose whose key it is." : owner.active ? undefined : "This user is disabled. Enable the user first.",
    name: nameFault(name, true),
    scopes: !all && scopes.length === 0 ? "Choose one scope at least." : undefined,
    instances: reach === "some" && instances.length === 0 && !ofProject ? "Choose one instance at least." : undefined,
    date: life === "date" ? dateFault(date, now) : undefined,
  };
  // From the moment that the form was opened, so that a second try sends the same request.
  const expiresAt = faults.date === undefined ? endOf(life, date, started) : null;
  const wanted: NewKey = {
    name: name.trim(),
    ...(ownerId === null ? {} : ofProject ? { project_id: ownerId } : { user_id: ownerId }),
    scopes: all ? ["*"] : scopes,
    ...(reach === "some" && !ofProject ? { instance_ids: instances } : {}),
    expires_at: expiresAt,
  };
  const create = useWrite({
    write: "api-key.create",
    send: async (body: NewKey) => {
      const { api_key, ...made } = await unwrap(configService.POST("/api-key", { body, headers: { "Idempotency-Key": keyFor(body) } }));
      // Handed over here, so that the write's own memory never holds it.
      onSecret({ kind: "created", apiKey: api_key, keyId: made.key_id, name: made.name, expiresAt: made.expires_at });
      onClose();
      return made;
    },
  });
  const error = (field: keyof typeof faults, pointer: string) => (tried ? faults[field] : undefined) ?? create.error?.fieldError(pointer);
  const errors = {
    owner: error("owner", "/user_id"),
    name: error("name", "/name"),
    scopes: error("scopes", "/scopes"),
    instances: error("instances", "/instance_ids"),
    date: error("date", "/expires_at"),
  };
  const submit = () => {
    setTried(true);
    if (Object.values(faults).some((fault) => fault !== undefined)) focusFirstError(box.current);
    else create.mutate(wanted, { onError: () => focusFirstError(box.current) });
  };

  return (
    <Dialog
      open
      persistent={name !== "" || chosen !== null || instances.length > 0 || date !== ""}
      title="Create key"
      description="It is shown once, when it is made."
      onClose={onClose}
      onSubmit={submit}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" tone="primary" busy={create.isPending} reason={offline ?? waiting}>
            Create key
          </Button>
        </>
      }
    >
      <div ref={box} className="flex flex-col gap-4">
        <Field label="Name" required error={errors.name} help="Where it is used: a laptop, a server, a pipeline.">
          <TextInput value={name} onValue={setName} />
        </Field>
        {hasRole(session, "admin") && (
          <Field label="Owner" required error={errors.owner} help="A person, or a project that calls the API.">
            <Combobox
              value={ownerId}
              onValue={(id) => {
                setOwner(id);
                setChosen(null);
              }}
              options={owners.options}
              placeholder="Choose an owner"
            />
          </Field>
        )}
        {canAll && (
          <RadioGroup
            legend="What it may do"
            name="everything"
            segmented
            value={everything}
            onValue={setEverything}
            options={[
              { value: "all", label: "All the role allows" },
              { value: "some", label: "Chosen scopes" },
            ]}
          />
        )}
        {!all && <ScopePicker value={scopes} onValue={setChosen} offered={offered} grantable={may} error={errors.scopes} />}
        {!ofProject && (
          <RadioGroup
            legend="Where"
            name="reach"
            segmented
            value={reach}
            onValue={setReach}
            options={[
              { value: "all", label: "All instances" },
              { value: "some", label: "Chosen instances" },
            ]}
          />
        )}
        {!ofProject && reach === "some" && (
          <Field label="Instances" required error={errors.instances}>
            <MultiSelect value={instances} onValue={setInstances} options={reachable.map((id) => ({ value: id, label: id }))} placeholder="Choose instances" />
          </Field>
        )}
        <div className="grid gap-4 sm:grid-cols-2">
          <Field label="Expires after" error={life === "date" ? undefined : errors.date}>
            <Select value={life} onValue={setLife} options={LIFE_WORDS} />
          </Field>
          {life === "date" && (
            <Field label="Last day (UTC)" required error={errors.date}>
              <TextInput type="date" value={date} onValue={setDate} />
            </Field>
          )}
        </div>
        {create.error?.code === "secret_already_shown" ? (
          <LostSecret wanted={wanted} onRotate={onRotate} />
        ) : create.error?.code === "quota_reached" ? (
          <Banner tone="warn" title="This owner has 20 working keys, which is the most">
            Revoke one that is not used; the filter “Unused for 90 days” finds it.
          </Banner>
        ) : (
          <FormError error={create.error} fields={Object.values(errors)} />
        )}
        <CodeDisclosure code={snippets({ method: "POST", path: "/api/config-service/api-key", body: wanted }, location.origin)} />
      </div>
    </Dialog>
  );
}

function LostSecret({ wanted, onRotate }: { wanted: NewKey; onRotate: (key: ApiKey) => void }) {
  const of = wanted.project_id === undefined ? { user_id: wanted.user_id } : { project_id: wanted.project_id };
  const found = useQuery({
    queryKey: keys.apiKeys({ ...of, name: wanted.name }),
    queryFn: async ({ signal }) => {
      const { items } = await apiKeysPage(of)(undefined, signal);
      const named = items.filter((key) => key.name === wanted.name && works(key.state));
      // Of several with this name, the one that was just made.
      return named.sort((a, b) => b.created_at.localeCompare(a.created_at))[0] ?? null;
    },
  });
  const made = found.data ?? null;
  return (
    <Banner
      tone="warn"
      title="This key was made, and its secret was shown already"
      action={
        made !== null && (
          <Button size="sm" icon="arrowClockwise" onClick={() => onRotate(made)}>
            Rotate it
          </Button>
        )
      }
    >
      The answer was lost on its way, and it is too late to repeat it. {made === null ? "Find the key by its name in the list and rotate it" : "Rotate the key"}: the new secret is
      shown once again.
    </Banner>
  );
}
