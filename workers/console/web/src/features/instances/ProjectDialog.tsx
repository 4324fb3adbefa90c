import { useRef, useState } from "react";
import { configService, unwrap } from "../../api/client";
import { useOfflineReason } from "../../api/connection_hooks";
import { snippets } from "../../api/snippets";
import { useIdempotencyKey, useWrite } from "../../api/write";
import { Button, CodeDisclosure, Dialog, ErrorState, Field, focusFirstError, type Json, mergePatch, TextArea, TextInput, toast } from "../../ui";
import { Conflict, type Versions } from "./Conflict";
import { type Doc, etag, isRecord, parseObject, versionOf } from "./model";
import type { Project } from "./queries";

interface FormProps {
  title: string;
  name: string;
  settings: string;
  onName: (text: string) => void;
  onSettings: (text: string) => void;
  /** With what was read from both fields. */
  onSend: (name: string, settings: Doc) => void;
  action: string;
  busy: boolean;
  error: ReturnType<typeof useWrite>["error"];
  code: Readonly<Record<string, string>>;
  onClose: () => void;
}

function ProjectForm(props: FormProps) {
  const { title, name, settings, onName, onSettings, onSend, action, busy, error, code, onClose } = props;
  const [tried, setTried] = useState(false);
  const area = useRef<HTMLDivElement>(null);
  const offline = useOfflineReason();
  const [began] = useState({ name, settings });
  const parsed = parseObject(settings);
  const nameError = tried && name.trim() === "" ? "Enter a name." : error?.fieldError("/name");
  const settingsError = ("error" in parsed ? (tried ? parsed.error : undefined) : undefined) ?? error?.fieldError("/settings");
  return (
    <Dialog
      open
      persistent={name !== began.name || settings !== began.settings}
      title={title}
      onClose={onClose}
      onSubmit={() => {
        setTried(true);
        if (name.trim() !== "" && "value" in parsed) onSend(name.trim(), parsed.value);
        else focusFirstError(area.current);
      }}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" tone="primary" busy={busy} reason={offline}>
            {action}
          </Button>
        </>
      }
    >
      <div ref={area} className="flex flex-col gap-4">
        <Field label="Name" required help="Unique in the instance." error={nameError}>
          <TextInput value={name} onValue={onName} maxLength={200} />
        </Field>
        <Field label="Settings" help="A JSON object of your own, at most 16 KB." error={settingsError}>
          <TextArea mono rows={8} value={settings} onValue={onSettings} />
        </Field>
        {error !== null && error.status !== 412 && <ErrorState compact error={error} />}
        <CodeDisclosure code={code} />
      </div>
    </Dialog>
  );
}

const pretty = (value: unknown) => JSON.stringify(value, null, 2);

export function CreateProject({ instanceId, onClose }: { instanceId: string; onClose: () => void }) {
  const [name, setName] = useState("");
  const [settings, setSettings] = useState("{}");
  const { keyFor } = useIdempotencyKey();
  const create = useWrite({
    write: "project.change",
    send: (body: { instance_id: string; name: string; settings: Record<string, never> }) =>
      unwrap(configService.POST("/project", { body, headers: { "Idempotency-Key": keyFor(body) } })),
    onDone: (project) => {
      toast({ tone: "good", title: `${project.name} created` });
      onClose();
    },
  });
  const body = { instance_id: instanceId, name, settings: "{}" === settings ? undefined : settings };
  return (
    <ProjectForm
      title="Create project"
      action="Create project"
      name={name}
      settings={settings}
      onName={setName}
      onSettings={setSettings}
      busy={create.isPending}
      error={create.error}
      onClose={onClose}
      onSend={(text, value) => create.mutate({ instance_id: instanceId, name: text, settings: value as Record<string, never> })}
      code={snippets({ method: "POST", path: "/api/config-service/project", body: { instance_id: body.instance_id, name: body.name, ...settingsOf(settings) } }, location.origin)}
    />
  );
}

function settingsOf(text: string): { settings?: Doc } {
  const parsed = parseObject(text);
  return "value" in parsed && Object.keys(parsed.value).length > 0 ? { settings: parsed.value } : {};
}

const docOf = (project: { name: Json; settings: Json }): Doc => ({ name: project.name, settings: project.settings });

export function EditProject({ project, onClose }: { project: Project; onClose: () => void }) {
  const [began, setBegan] = useState(() => ({ doc: docOf(project as unknown as { name: Json; settings: Json }), version: project.version }));
  const [name, setName] = useState(project.name);
  const [settings, setSettings] = useState(() => pretty(project.settings));
  const [versions, setVersions] = useState<Versions | null>(null);
  const save = useWrite({
    write: "project.change",
    send: (input: { base: Doc; mine: Doc; version: number }) =>
      unwrap(
        configService.PATCH("/project/{project_id}", {
          params: { path: { project_id: project.project_id }, header: { "If-Match": etag(input.version) } },
          body: mergePatch(input.base, input.mine),
        }),
      ),
    onDone: (saved) => {
      toast({ tone: "good", title: `${saved.name} saved` });
      onClose();
    },
  });
  const send = (base: Doc, mine: Doc, version: number) =>
    save.mutate(
      { base, mine, version },
      {
        onError: (error) => {
          const current = error.details["current"];
          const found = versionOf(error.details);
          if (error.status !== 412 || !isRecord(current) || found === undefined) return;
          setVersions({ base: began.doc, theirs: docOf(current as unknown as { name: Json; settings: Json }), mine, version: found });
        },
      },
    );
  if (versions !== null) {
    return (
      <Conflict
        key={versions.version}
        versions={versions}
        what="project"
        busy={save.isPending}
        error={save.error}
        onApply={(doc, version) => send(versions.theirs, doc, version)}
        onTakeTheirs={onClose}
        onEdit={(doc) => {
          setBegan({ doc: versions.theirs, version: versions.version });
          setName(typeof doc["name"] === "string" ? doc["name"] : name);
          setSettings(pretty(doc["settings"] ?? {}));
          setVersions(null);
          save.reset();
        }}
        onClose={() => setVersions(null)}
      />
    );
  }
  const parsed = parseObject(settings);
  const mine: Doc = { name: name.trim(), settings: "value" in parsed ? parsed.value : {} };
  return (
    <ProjectForm
      title={`Edit ${project.name}`}
      action="Save project"
      name={name}
      settings={settings}
      onName={setName}
      onSettings={setSettings}
      busy={save.isPending}
      error={save.error}
      onClose={onClose}
      onSend={(text, value) => send(began.doc, { name: text, settings: value }, began.version)}
      code={snippets(
        { method: "PATCH", path: `/api/config-service/project/${project.project_id}`, headers: { "If-Match": etag(began.version) }, body: mergePatch(began.doc, mine) },
        location.origin,
      )}
    />
  );
}
