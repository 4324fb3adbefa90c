import { useQuery } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { configService, unwrap } from "../../api/client";
import type { ApiError } from "../../api/errors";
import { useOfflineReason } from "../../api/connection_hooks";
import { hasRole, useSession } from "../../api/session";
import { snippets } from "../../api/snippets";
import { useIdempotencyKey, useWrite } from "../../api/write";
import { Button, CodeBlock, CodeDisclosure, Combobox, Dialog, ErrorState, Facts, Field, focusFirstError, NumberInput, SecretInput, TextInput, toast } from "../../ui";
import { parseMoney } from "../../format/money";
import { useAssign } from "./assign";
import { createBody, type Draft, draftProblems, emailProblem, EMPTY_DRAFT, firstStep, masked, PROVIDERS, stepOf, STEPS } from "./create";
import { PeopleFields, PeopleLeft, usePeopleText } from "./CreatePeople";
import { ProblemList } from "./ProblemList";
import { organizationsQuery } from "./queries";
import { slugOf } from "./model";

const TITLES = { identity: "Identity", providers: "Providers", limits: "Limits, budget and people", review: "Review" } as const;

interface Made {
  id: string;
  name: string;
  isDeploying: boolean;
}

/** An instance in four short steps: who it is, its keys, its limits, a look at all of it. */
export function CreateInstance({ onClose, onCreated }: { onClose: () => void; onCreated: (id: string) => void }) {
  const session = useSession();
  const superadmin = hasRole(session, "superadmin");
  const offline = useOfflineReason();
  const { keyFor } = useIdempotencyKey();
  const [draft, setDraft] = useState<Draft>(EMPTY_DRAFT);
  const [step, setStep] = useState(0);
  const [checked, setChecked] = useState(false);
  const [made, setMade] = useState<Made | null>(null);
  const area = useRef<HTMLDivElement>(null);
  const change = (part: Partial<Draft>) => setDraft((old) => ({ ...old, ...part }));
  const now = STEPS[step] ?? "identity";
  const body = createBody(draft);
  const create = useWrite({
    write: "instance.create",
    send: (sent: typeof body) => unwrap(configService.POST("/instance", { body: sent, headers: { "Idempotency-Key": keyFor(sent) } })),
    onDone: (instance) => {
      const existing = { id: instance.instance_id, name: instance.name, isDeploying: instance.status === "deploying" };
      setMade(existing);
      void follow(existing);
    },
  });
  const assign = useAssign();
  /** What follows once the instance exists; when it fails, the dialog stays and goes on from there. */
  const follow = async (instance: Made) => {
    if (!(await assign.run({ id: instance.id, orgId: draft.orgId }, draft.people))) return;
    toast({ tone: "good", title: `${instance.name} created`, ...(instance.isDeploying ? { text: "It takes work once it is activated, on its page." } : {}) });
    leave(instance);
  };
  const leave = ({ id }: Made) => {
    onClose();
    onCreated(id);
  };
  const problems = draftProblems(draft, superadmin);
  const taken = create.error?.code === "conflict" ? "This id is taken: choose another." : undefined;
  const errorAt = (pointer: string) =>
    (checked ? problems[pointer] : undefined) ??
    create.error?.fieldError(pointer) ??
    create.error?.fieldError(`/config${pointer}`) ??
    (pointer === "/instance_id" ? taken : undefined);
  const stepProblems = Object.keys(problems).filter((pointer) => stepOf(pointer) === now);
  /** Back to where the first of them is corrected. */
  const goTo = (pointers: readonly string[]) => {
    setStep(firstStep(pointers) ?? step);
    focusFirstError(area.current);
  };
  const forward = () => {
    if (now !== "review" && stepProblems.length > 0) {
      setChecked(true);
      focusFirstError(area.current);
      return;
    }
    setChecked(false);
    if (now === "review") create.mutate(body, { onError: (refused) => goTo(pointersOf(refused)) });
    else setStep(step + 1);
  };
  if (made !== null && assign.failed !== null) {
    const { failed } = assign;
    const refusedEmail = failed.who === draft.people.email.trim() ? (failed.error.fieldError("/email") ?? (failed.error.code === "conflict" ? failed.error.message : undefined)) : undefined;
    return (
      <Dialog
        open
        persistent
        size="lg"
        title="Create instance"
        description="Access is left"
        onClose={() => leave(made)}
        onSubmit={() => {
          if (emailProblem(draft.people) === undefined) void follow(made);
          else focusFirstError(area.current);
        }}
        footer={
          <>
            <Button onClick={() => leave(made)}>Open the instance</Button>
            <Button type="submit" tone="primary" busy={assign.busy} reason={offline}>
              Give access
            </Button>
          </>
        }
      >
        <div ref={area}>
          <PeopleLeft
            instanceName={made.name}
            assign={assign}
            orgId={draft.orgId}
            people={draft.people}
            onPeople={(people) => change({ people })}
            emailError={emailProblem(draft.people) ?? refusedEmail}
          />
        </div>
      </Dialog>
    );
  }
  const request = { method: "POST", path: "/api/config-service/instance", body: masked(body) } as const;
  return (
    <Dialog
      open
      persistent={draft !== EMPTY_DRAFT}
      size={now === "review" ? "xl" : "lg"}
      title="Create instance"
      description={`Step ${step + 1} of ${STEPS.length}: ${TITLES[now]}`}
      onClose={onClose}
      onSubmit={forward}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          {step > 0 && <Button onClick={() => setStep(step - 1)}>Back</Button>}
          <Button type="submit" tone="primary" busy={create.isPending || assign.busy} reason={now === "review" ? offline : undefined}>
            {now === "review" ? "Create instance" : "Next"}
          </Button>
        </>
      }
    >
      <div ref={area} className="flex flex-col gap-4">
        {now === "identity" && <Identity draft={draft} change={change} errorAt={errorAt} superadmin={superadmin} />}
        {now === "providers" &&
          PROVIDERS.map((provider) => (
            <Field key={provider.name} label={`${provider.label} key`} help="Sealed at once and never shown again. Leave it empty to set it later." error={errorAt(`/api_keys/${provider.name}`)}>
              <SecretInput value={draft.keys[provider.name] ?? ""} onValue={(key) => change({ keys: { ...draft.keys, [provider.name]: key } })} />
            </Field>
          ))}
        {now === "limits" && (
          <>
            <LimitFields draft={draft} change={change} errorAt={errorAt} />
            <PeopleFields orgId={draft.orgId} people={draft.people} onPeople={(people) => change({ people })} emailError={errorAt("/people/email")} />
          </>
        )}
        {now === "review" && (
          <div className="grid gap-5 md:grid-cols-2">
            <div>
              <Review draft={draft} />
            </div>
            <section aria-label="What is sent" className="flex min-w-0 flex-col gap-1.5">
              <h3 className="text-sm text-muted">As it is sent, keys masked</h3>
              <CodeBlock code={JSON.stringify(masked(body), null, 2)} what="JSON" />
            </section>
          </div>
        )}
        {create.error !== null && (
          <ErrorState compact error={create.error}>
            {create.error.fields.length > 0 && <ProblemList problems={create.error.fields} onGo={(pointer) => goTo([pointer])} />}
          </ErrorState>
        )}
        {now === "review" && <CodeDisclosure code={snippets(request, location.origin)} />}
      </div>
    </Dialog>
  );
}

/** The members that an answer refuses. An id that is taken is told without naming its member. */
function pointersOf(refused: ApiError): string[] {
  const named = refused.fields.map((field) => field.pointer);
  return named.length === 0 && refused.code === "conflict" ? ["/instance_id"] : named;
}

interface PartProps {
  draft: Draft;
  change: (part: Partial<Draft>) => void;
  errorAt: (pointer: string) => string | undefined;
}

function Identity({ draft, change, errorAt, superadmin }: PartProps & { superadmin: boolean }) {
  const organizations = useQuery({ ...organizationsQuery, enabled: superadmin });
  return (
    <>
      <Field label="Name" required error={errorAt("/name")}>
        <TextInput value={draft.name} onValue={(name) => change({ name, ...(draft.idTyped ? {} : { id: slugOf(name) }) })} />
      </Field>
      <Field label="Id" required help="In addresses and headers; it stays for good." error={errorAt("/instance_id")}>
        <TextInput mono value={draft.id} onValue={(id) => change({ id, idTyped: true })} />
      </Field>
      {superadmin && (
        <Field label="Organization" required error={errorAt("/org_id")}>
          <Combobox
            value={draft.orgId}
            onValue={(orgId) => change({ orgId })}
            options={(organizations.data?.items ?? []).map((org) => ({ value: org.org_id, label: org.name }))}
            placeholder="Find by name"
          />
        </Field>
      )}
      <div className="grid gap-4 sm:grid-cols-2">
        <Field label="Environment" help="Such as production or staging." error={errorAt("/environment")}>
          <TextInput value={draft.environment} onValue={(environment) => change({ environment })} />
        </Field>
        <Field label="R2 bucket" help="Where its pictures go." error={errorAt("/r2_bucket")}>
          <TextInput mono value={draft.bucket} onValue={(bucket) => change({ bucket })} />
        </Field>
      </div>
    </>
  );
}

function LimitFields({ draft, change, errorAt }: PartProps) {
  return (
    <>
      {PROVIDERS.map((provider) => {
        const limit = draft.limits[provider.name] ?? { rpm: null, inflight: null };
        const set = (part: Partial<typeof limit>) => change({ limits: { ...draft.limits, [provider.name]: { ...limit, ...part } } });
        return (
          <div key={provider.name} className="grid gap-4 sm:grid-cols-2">
            <Field label={`${provider.label}: requests`} help="Empty: no limit of your own." error={errorAt(`/rate_limits/${provider.name}/rpm`)}>
              <NumberInput unit="a minute" value={limit.rpm} onValue={(rpm) => set({ rpm })} />
            </Field>
            <Field label={`${provider.label}: images in progress`} help="Empty: the vendor's own limit." error={errorAt(`/rate_limits/${provider.name}/max_inflight_images`)}>
              <NumberInput unit="at once" value={limit.inflight} onValue={(inflight) => set({ inflight })} />
            </Field>
          </div>
        );
      })}
      <Field label="Monthly budget of the instance" help="In dollars; empty sets none." error={errorAt("/budgets")}>
        <TextInput inputMode="decimal" value={draft.budget} onValue={(budget) => change({ budget })} placeholder="50.00" />
      </Field>
    </>
  );
}

function Review({ draft }: { draft: Draft }) {
  const people = usePeopleText(draft.orgId, draft.people);
  const limits = PROVIDERS.flatMap(({ name, label }) => {
    const limit = draft.limits[name];
    const parts = [
      typeof limit?.rpm === "number" ? `${limit.rpm} requests a minute` : null,
      typeof limit?.inflight === "number" ? `${limit.inflight} images at once` : null,
    ].filter((part) => part !== null);
    return parts.length === 0 ? [] : [`${label}: ${parts.join(", ")}`];
  });
  const withKey = PROVIDERS.filter(({ name }) => (draft.keys[name] ?? "") !== "").map(({ label }) => label);
  return (
    <Facts
      facts={[
        { name: "Name", value: draft.name },
        { name: "Id", value: <code className="text-sm">{draft.id}</code> },
        { name: "Environment", value: draft.environment || "not set" },
        { name: "R2 bucket", value: draft.bucket || "not set" },
        { name: "Provider keys", value: withKey.length === 0 ? "none yet" : withKey.join(", ") },
        { name: "Limits", value: limits.length === 0 ? "the vendors' own" : limits.join("; ") },
        { name: "Access", value: people === "" ? "administrators only" : people },
        { name: "Monthly budget", value: parseMoney(draft.budget) === null ? "none" : `$${draft.budget.replace(/^\$/, "")}` },
      ]}
    />
  );
}
