import { useQueryClient } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useRef, useState } from "react";
import { configService, unwrap } from "../../api/client";
import { useOfflineReason } from "../../api/connection_hooks";
import { keys } from "../../api/keys";
import { snippets } from "../../api/snippets";
import { useUnsaved } from "../../api/unsaved";
import { useWrite } from "../../api/write";
import { plural } from "../../format/bytes";
import { useShortcuts } from "../../keyboard";
import { Banner, Button, CodeDisclosure, Dialog, diff, DiffView, ErrorState, focusFirstError, LeaveDialog, Panel, RadioGroup, toast } from "../../ui";
import { ConfigForm } from "./ConfigForm";
import { ConfigJson } from "./ConfigJson";
import { Conflict, type Versions } from "./Conflict";
import { check } from "./fields";
import { type Doc, editableOf, etag, isRecord, patchBody, type Problems, versionOf } from "./model";
import { ProblemList } from "./ProblemList";
import type { Instance, UpdateInstance } from "./queries";

const route = getRouteApi("/framed/admin/instances/$id");

interface Draft {
  /** What the edit began with, and its version. */
  base: Doc;
  version: number;
  mine: Doc;
}

interface Save {
  draft: Draft;
  version: number;
}

/** The configuration as a form or as JSON: one document, one save, and what to do when somebody else was faster. */
export function ConfigTab({ instance, canWrite }: { instance: Instance; canWrite: boolean }) {
  const id = instance.instance_id;
  const { view = "form" } = route.useSearch();
  const navigate = route.useNavigate();
  const client = useQueryClient();
  const offline = useOfflineReason();
  const area = useRef<HTMLDivElement>(null);
  const [draft, setDraft] = useState<Draft | null>(null);
  const [step, setStep] = useState<"edit" | "review" | "conflict">("edit");
  const [theirs, setTheirs] = useState<{ doc: Doc; version: number } | null>(null);
  /** JSON as typed that cannot be read: kept here, so that a look at the form does not lose it. */
  const [unread, setUnread] = useState<string | null>(null);
  const [tried, setTried] = useState(false);
  /** Counts fresh starts: the JSON view keeps what was typed, and must let go of it with the draft. */
  const [round, setRound] = useState(0);

  const stands = editableOf(instance);
  const mine = draft?.mine ?? stands;
  const rows = draft === null ? [] : diff(draft.base, draft.mine);
  const dirty = rows.length > 0;
  const overtaken = dirty && draft !== null && instance.version > draft.version;

  const save = useWrite({
    write: "instance.update",
    send: ({ draft: sent, version }: Save) =>
      unwrap(
        configService.PATCH("/instance/{instance_id}", {
          params: { path: { instance_id: id }, header: { "If-Match": etag(version) } },
          // The description has no form for a configuration: config-service judges it.
          body: patchBody(sent.base, sent.mine) as UpdateInstance,
        }),
      ),
    onDone: (saved) => {
      client.setQueryData(keys.instance(id), saved);
      toast({ tone: "good", title: `${saved.name} saved`, text: `It is version ${saved.version} now; workers use it within 5 seconds.` });
      reset();
    },
  });

  function reset() {
    setDraft(null);
    setTheirs(null);
    setStep("edit");
    setUnread(null);
    setTried(false);
    setRound((old) => old + 1);
  }

  function change(doc: Doc) {
    setDraft((old) => ({ base: old?.base ?? stands, version: old?.version ?? instance.version, mine: doc }));
  }

  function send(next: Draft, version: number) {
    save.mutate(
      { draft: next, version },
      {
        onError: (error) => {
          if (error.status === 412) {
            const current = error.details["current"];
            const found = versionOf(error.details);
            if (isRecord(current) && found !== undefined) {
              // What I want stays mine against what I began with; only what stands there is another one.
              setTheirs({ doc: editableOf(current), version: found });
              setDraft((old) => old ?? next);
              setStep("conflict");
              return;
            }
          }
          setStep(step === "conflict" ? "conflict" : "edit");
          focusFirstError(area.current);
        },
      },
    );
  }

  function show(next: "form" | "json") {
    void navigate({ search: (old) => ({ ...old, view: next === "form" ? undefined : next }), replace: true });
  }

  function review() {
    setTried(true);
    if (unread !== null || Object.keys(check(mine)).length > 0) {
      // The text that stands in the way is in the other view.
      if (unread !== null && view === "form") show("json");
      focusFirstError(area.current);
      return;
    }
    save.reset();
    setStep("review");
  }

  const leaving = useUnsaved(dirty || unread !== null);

  useShortcuts("Configuration", dirty ? [{ keys: "mod+enter", does: "Review and save", whileTyping: true, run: review }] : []);

  const refused = save.error !== null && save.error.status !== 412 ? save.error : null;
  const problems: Problems = {
    ...Object.fromEntries((refused?.fields ?? []).map((field) => [field.pointer, field.rule])),
    ...(tried ? check(mine) : {}),
  };
  const versions: Versions | null = draft === null || theirs === null ? null : { base: draft.base, theirs: theirs.doc, mine: draft.mine, version: theirs.version };
  const body = draft === null ? {} : patchBody(draft.base, draft.mine);
  const request = { method: "PATCH", path: `/api/config-service/instance/${id}`, headers: { "If-Match": etag(draft?.version ?? instance.version) }, body } as const;

  return (
    <div ref={area} className="flex flex-col gap-5">
      <div className="flex flex-wrap items-end justify-between gap-3">
        <div className="w-44">
          <RadioGroup
            segmented
            hideLegend
            legend="How it is edited"
            name="config-view"
            value={view}
            onValue={show}
            options={[{ value: "form", label: "Form" }, { value: "json", label: "JSON" }]}
          />
        </div>
        {!canWrite && <p className="text-sm text-muted">You can read this; changing it needs the role “admin” and the scope “config:write”.</p>}
      </div>
      {overtaken && (
        <Banner
          tone="warn"
          title={`Version ${instance.version} was saved while you are editing version ${draft.version}`}
          action={
            <Button
              size="sm"
              onClick={() => {
                setTheirs({ doc: stands, version: instance.version });
                setStep("conflict");
              }}
            >
              Compare
            </Button>
          }
        >
          Nothing of yours is lost. Compare both now, or when you save.
        </Banner>
      )}
      {refused !== null && step === "edit" && (
        <ErrorState compact error={refused}>
          {refused.fields.length > 0 && <ProblemList problems={refused.fields} />}
        </ErrorState>
      )}
      {view === "form" ? (
        <ConfigForm doc={mine} onDoc={change} problems={problems} disabled={!canWrite} />
      ) : (
        <Panel title="JSON" lead="The members that people edit. Keys, access, status and prices have pages of their own.">
          <ConfigJson key={round} doc={mine} onDoc={change} unread={unread} onUnread={setUnread} readOnly={!canWrite} />
        </Panel>
      )}
      {canWrite && (dirty || unread !== null) && (
        <div className="sticky bottom-0 z-10 flex flex-wrap items-center justify-between gap-3 rounded-lg border border-line bg-raised px-4 py-3 shadow-2">
          <p className="text-base">{unread === null ? plural(rows.length, "member") + " changed, not saved yet" : (view === "json" ? "The JSON cannot be read yet" : "The JSON that you typed cannot be read; it waits in the other view")}</p>
          <div className="flex gap-2">
            <Button onClick={reset}>Discard</Button>
            <Button tone="primary" onClick={review}>
              Review and save
            </Button>
          </div>
        </div>
      )}
      <LeaveDialog {...leaving}>What you changed in the configuration of {instance.name} is not saved.</LeaveDialog>
      {step === "review" && draft !== null && (
        <Dialog
          open
          size="lg"
          title="Save these changes?"
          description={`Made on version ${draft.version}.`}
          onClose={() => setStep("edit")}
          onSubmit={() => send(draft, draft.version)}
          footer={
            <>
              <Button onClick={() => setStep("edit")}>Back</Button>
              <Button type="submit" tone="primary" busy={save.isPending} reason={offline}>
                Save
              </Button>
            </>
          }
        >
          <div className="flex flex-col gap-4">
            <DiffView rows={rows} />
            <CodeDisclosure code={snippets(request, location.origin)} />
          </div>
        </Dialog>
      )}
      {step === "conflict" && versions !== null && (
        <Conflict
          key={versions.version}
          versions={versions}
          what="instance"
          busy={save.isPending}
          error={save.error}
          onApply={(doc, version) => send({ base: versions.theirs, version, mine: doc }, version)}
          onTakeTheirs={reset}
          onEdit={(doc) => {
            setDraft({ base: versions.theirs, version: versions.version, mine: doc });
            setStep("edit");
          }}
          onClose={() => setStep("edit")}
        />
      )}
    </div>
  );
}
