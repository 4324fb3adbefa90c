import { type RefObject, useState } from "react";
import type { ApiError } from "../../api/errors";
import type { InstanceRef, Session } from "../../api/session";
import { keyFaultText } from "../../format/api_key";
import { count } from "../../format/bytes";
import { Button, cx, Field, Icon, Menu, Panel, SecretInput, Select, TextArea, TextInput } from "../../ui";
import { choices, FAULTS, type faultsOf, type PlayForm, promptLength, type PromptLimit, withFault } from "./model";
import { ModelOptions } from "./ModelOptions";
import { type ModelOption, split } from "./options";
import { type Caller, type Models, useProjects } from "./queries";

export interface PlayFormPanelProps {
  formRef: RefObject<HTMLFormElement | null>;
  form: PlayForm;
  onForm: (form: PlayForm) => void;
  session: Session | null;
  apiKey: string;
  onApiKey: (key: string) => void;
  /** The server does not know the typed key. */
  keyError: string | undefined;
  instances: readonly InstanceRef[];
  instanceId: string | undefined;
  onInstance: (id: string) => void;
  models: Models;
  caller: Caller;
  options: readonly ModelOption[];
  promptLimit: PromptLimit;
  /** Found before sending. */
  faults: ReturnType<typeof faultsOf>;
  /** Of the last answer. */
  error: ApiError | null;
  busy: boolean;
  reason: string | undefined;
  /** The part "More options" is open. */
  more: boolean;
  onMore: (open: boolean) => void;
  onSubmit: () => void;
}

export function PlayFormPanel(props: PlayFormPanelProps) {
  const { formRef, form, onForm, session, options, promptLimit, faults, error, busy, reason, onSubmit } = props;
  const length = promptLength(form.prompt);
  const set = (change: Partial<PlayForm>) => onForm({ ...form, ...change });
  const { lacking } = split(options, form.options);
  const optionList = (advanced: boolean) => (
    <ModelOptions
      all={options}
      shown={options.filter((option) => option.advanced === advanced)}
      values={form.options}
      onValues={(values) => set({ options: values })}
      error={error}
    />
  );
  return (
    <form
      ref={formRef}
      noValidate
      aria-label="Generate a picture"
      className="flex min-w-0 flex-col gap-5"
      onSubmit={(event) => {
        event.preventDefault();
        onSubmit();
      }}
    >
      <Panel>
        <div className="flex flex-col gap-4.5">
          <KeyField {...props} />
          <InstanceField {...props} />
          <Field
            label="Prompt"
            required
            error={faults.prompt ?? error?.fieldError("/prompt")}
            aside={
              <span className={cx("tabular-nums", length > promptLimit.most && "text-bad")}>
                {count(length)} of {count(promptLimit.most)}
              </span>
            }
          >
            <TextArea rows={5} value={form.prompt} onValue={(prompt) => set({ prompt })} placeholder="A lighthouse at dawn, oil on canvas" spellCheck />
          </Field>
          {session?.simulator === true && (
            <div className="-mt-2 flex flex-wrap items-center justify-between gap-2">
              <span className="text-sm text-muted">Simulated: nothing is billed.</span>
              <FaultMenu prompt={form.prompt} onPrompt={(prompt) => set({ prompt })} />
            </div>
          )}
          <ModelField {...props} set={set} />
          <div className="grid grid-cols-1 gap-4 min-[26rem]:grid-cols-2 empty:hidden">{optionList(false)}</div>
          {lacking.length > 0 && (
            <p className="flex items-start gap-2 text-sm text-muted">
              <Icon name="info" size={15} className="mt-0.5" />
              <span>
                Kept, and not sent to {form.model === "" ? "the models together" : "this model"}: {lacking.join(", ")}.
              </span>
            </p>
          )}
          <More open={props.more} onOpen={props.onMore}>
            {optionList(true)}
            <Limits {...{ form, set, faults, error }} caller={props.caller} instanceId={props.instanceId} />
          </More>
          <div className="flex flex-wrap items-center gap-3 border-t border-line pt-4">
            <Button type="submit" tone="primary" icon="magicWand" busy={busy} reason={reason}>
              {busy ? "Generating" : "Generate"}
            </Button>
            <span className="text-sm text-muted max-sm:hidden">or Ctrl + Enter</span>
          </div>
        </div>
      </Panel>
    </form>
  );
}

function KeyField({ session, apiKey, onApiKey, keyError }: PlayFormPanelProps) {
  const [open, setOpen] = useState(apiKey !== "");
  if (session !== null && !open) {
    return (
      <div className="flex flex-wrap items-center justify-between gap-x-3 gap-y-1">
        <span className="flex min-w-0 items-center gap-2 text-sm text-muted">
          <Icon name="key" size={15} />
          <span className="truncate">Using your session</span>
        </span>
        <Button size="sm" tone="ghost" onClick={() => setOpen(true)}>
          Use another key
        </Button>
      </div>
    );
  }
  const fault = apiKey.trim() === "" ? null : keyFaultText(apiKey);
  return (
    <Field
      label="API key"
      required={session === null}
      help={`${session === null ? "" : "Used instead of your session. "}Never stored, and forgotten when you leave the page.`}
      error={fault ?? keyError}
    >
      <SecretInput value={apiKey} onValue={onApiKey} placeholder="sy_…" />
    </Field>
  );
}

function InstanceField({ instances, instanceId, onInstance, error }: PlayFormPanelProps) {
  return (
    <Field label="Instance ID" error={error?.fieldError("/instance_id")}>
      <Select
        value={instanceId ?? ""}
        onValue={onInstance}
        disabled={instances.length === 0}
        options={
          instances.length === 0
            ? [{ value: "", label: "The key's own instance" }]
            : instances.map(({ instance_id: id, name }) => ({ value: id, label: name === id ? id : `${id} — ${name}` }))
        }
      />
    </Field>
  );
}

function ModelField({ form, set, models, caller, instanceId, error }: PlayFormPanelProps & { set: (change: Partial<PlayForm>) => void }) {
  const known = models.models ?? [];
  const lost = form.model !== "" && models.models !== undefined && !known.some((model) => model.id === form.model);
  const nothing = caller.ready && instanceId !== undefined && models.models?.length === 0;
  return (
    <div className="flex flex-col gap-2">
      <Field
        label="Model"
        error={error?.fieldError("/model") ?? error?.fieldError("/provider") ?? (lost ? "This instance cannot use it: choose another." : undefined)}
      >
        <Select
          value={form.model}
          onValue={(model) => set({ model })}
          options={[
            { value: "", label: models.models === undefined && models.loading ? "Loading the models" : nothing ? "No model can be used" : "Let the platform choose" },
            ...choices(known),
            ...(lost ? [{ value: form.model, label: form.model }] : []),
          ]}
        />
      </Field>
      {models.error !== null && models.error.status !== 401 && (
        <div className="flex items-start gap-2 text-sm text-warn">
          <Icon name="warning" size={15} className="mt-0.5" />
          <span className="min-w-0 flex-1">
            The models could not be loaded (<code>{models.error.code}</code>). The platform can still choose one.
          </span>
          <Button size="sm" icon="arrowClockwise" busy={models.loading} onClick={models.retry}>
            Retry
          </Button>
        </div>
      )}
    </div>
  );
}

function FaultMenu({ prompt, onPrompt }: { prompt: string; onPrompt: (prompt: string) => void }) {
  return (
    <Menu
      trigger={
        <Button size="sm" icon="lightning">
          Faults
        </Button>
      }
      header="Added to the prompt, for the simulator"
      entries={[
        ...FAULTS.map((fault) => ({
          label: `${fault.label} (${fault.token})`,
          checked: prompt.includes(fault.token),
          onSelect: () => onPrompt(withFault(prompt, fault.token)),
        })),
        null,
        { label: "No fault", onSelect: () => onPrompt(withFault(prompt, null)) },
      ]}
    />
  );
}

function More({ open, onOpen, children }: { open: boolean; onOpen: (open: boolean) => void; children: React.ReactNode }) {
  return (
    <div className="flex flex-col gap-4">
      <Button size="sm" tone="ghost" icon={open ? "caretDown" : "caretRight"} aria-expanded={open} className="-ml-2.5 self-start" onClick={() => onOpen(!open)}>
        More options
      </Button>
      {open && <div className="grid grid-cols-1 gap-4 min-[26rem]:grid-cols-2">{children}</div>}
    </div>
  );
}

type LimitsProps = Pick<PlayFormPanelProps, "form" | "faults" | "error" | "caller" | "instanceId"> & { set: (change: Partial<PlayForm>) => void };

function Limits({ form, set, faults, error, caller, instanceId }: LimitsProps) {
  return (
    <>
      <Field label="Prefer" error={error?.fieldError("/optimize")}>
        <Select
          value={form.optimize}
          onValue={(optimize) => set({ optimize })}
          options={[
            { value: "", label: "Default" },
            { value: "balanced", label: "Balanced" },
            { value: "cost", label: "Low cost" },
            { value: "speed", label: "Speed" },
            { value: "quality", label: "Quality" },
          ]}
        />
      </Field>
      <Field label="If a provider fails" error={error?.fieldError("/fallback")}>
        <Select
          value={form.fallback}
          onValue={(fallback) => set({ fallback })}
          options={[
            { value: "", label: "Default" },
            { value: "auto", label: "Try others" },
            { value: "none", label: "Give up" },
          ]}
        />
      </Field>
      <Field label="Maximum cost" error={faults.max_cost_usd_micros ?? error?.fieldError("/max_cost_usd_micros")}>
        <TextInput value={form.maxCost} onValue={(maxCost) => set({ maxCost })} inputMode="decimal" placeholder="USD, like 0.05" />
      </Field>
      <Field label="Watch the job after" error={error?.fieldError("/timeout_ms")}>
        <Select
          value={form.waitMs}
          onValue={(waitMs) => set({ waitMs })}
          options={[
            { value: "", label: "Default (20 seconds)" },
            { value: "5000", label: "5 seconds" },
            { value: "120000", label: "2 minutes" },
            { value: "300000", label: "5 minutes" },
          ]}
        />
      </Field>
      <Field label="Tags" error={faults.tags ?? error?.fieldError("/tags")}>
        <TextInput value={form.tags} onValue={(tags) => set({ tags })} placeholder="hero, spring" />
      </Field>
      <ProjectField {...{ form, set, error, caller, instanceId }} />
    </>
  );
}

/** Chosen by name; typed as an id where the list is not to be had, or longer than a list. */
function ProjectField({ form, set, error, caller, instanceId }: Omit<LimitsProps, "faults">) {
  const projects = useProjects(caller, instanceId);
  const lost = form.project !== "" && projects?.every((project) => project.project_id !== form.project) === true;
  return (
    <Field label={projects === undefined ? "Project ID" : "Project"} error={error?.fieldError("/project_id")}>
      {projects === undefined ? (
        <TextInput mono value={form.project} onValue={(project) => set({ project })} placeholder="Shared pictures" />
      ) : (
        <Select
          value={form.project}
          onValue={(project) => set({ project })}
          options={[
            { value: "", label: "Shared pictures" },
            ...projects.map(({ project_id, name }) => ({ value: project_id, label: name })),
            ...(lost ? [{ value: form.project, label: form.project }] : []),
          ]}
        />
      )}
    </Field>
  );
}
