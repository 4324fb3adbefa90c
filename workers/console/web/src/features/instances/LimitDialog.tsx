import { useRef, useState } from "react";
import { configService, unwrap } from "../../api/client";
import { useOfflineReason } from "../../api/connection_hooks";
import { snippets } from "../../api/snippets";
import { useWrite } from "../../api/write";
import { Button, CodeDisclosure, Dialog, ErrorState, Field, focusFirstError, IconButton, NumberInput, toast } from "../../ui";
import { Conflict, type Versions } from "./Conflict";
import { type LimitDraft, limitBody, limitDoc, limitDraft, limitProblems, MAX_WINDOWS, type WindowDraft } from "./limits";
import { type Doc, etag, isRecord, versionOf } from "./model";
import type { ProviderLimit } from "./queries";

interface LimitDialogProps {
  instanceId: string;
  limit: ProviderLimit;
  /** Of the instance, when `limit` was read. */
  version: number;
  onClose: () => void;
}

export function LimitDialog({ instanceId, limit, version, onClose }: LimitDialogProps) {
  const { provider } = limit;
  // The list below refreshes by itself; the edit is on what was read when it opened.
  const [began, setBegan] = useState({ draft: limitDraft(limit), version });
  const [draft, setDraft] = useState<LimitDraft>(began.draft);
  const [versions, setVersions] = useState<Versions | null>(null);
  const [tried, setTried] = useState(false);
  const area = useRef<HTMLDivElement>(null);
  const offline = useOfflineReason();
  const save = useWrite({
    write: "instance.limits",
    send: (input: { body: LimitDraft; version: number }) =>
      unwrap(
        configService.PUT("/instance/{instance_id}/rate-limit/{provider}", {
          params: { path: { instance_id: instanceId, provider }, header: { "If-Match": etag(input.version) } },
          body: limitBody(input.body),
        }),
      ),
    onDone: () => {
      toast({ tone: "good", title: `Limits of ${provider} saved`, text: "They hold for new requests within 5 seconds." });
      onClose();
    },
  });
  const send = (body: LimitDraft, on: number) =>
    save.mutate(
      { body, version: on },
      {
        onError: (error) => {
          const current = error.details["current"];
          const found = versionOf(error.details);
          if (error.status === 412 && isRecord(current) && found !== undefined) {
            const theirs = limitDraft(current);
            // Another member of the instance was changed, not this one: nothing to decide. The refused write did nothing, so
            // this is the same one on the version that it is for, not a repetition.
            if (JSON.stringify(limitBody(theirs)) === JSON.stringify(limitBody(began.draft))) send(body, found);
            else setVersions({ base: limitDoc(began.draft), theirs: limitDoc(theirs), mine: limitDoc(body), version: found });
          } else focusFirstError(area.current);
        },
      },
    );
  const problems = limitProblems(draft);
  const errorAt = (pointer: string) => (tried ? problems[pointer] : undefined) ?? save.error?.fieldError(`/rate_limits/${provider}${pointer}`);
  const change = (part: Partial<LimitDraft>) => setDraft((old) => ({ ...old, ...part }));
  const setWindow = (index: number, part: Partial<WindowDraft>) => change({ windows: draft.windows.map((window, i) => (i === index ? { ...window, ...part } : window)) });

  if (versions !== null) {
    return (
      <Conflict
        key={versions.version}
        versions={versions}
        what="limit"
        busy={save.isPending}
        error={save.error}
        onApply={(doc: Doc, on) => send(limitDraft(doc), on)}
        onTakeTheirs={onClose}
        onEdit={(doc) => {
          setBegan({ draft: limitDraft(versions.theirs), version: versions.version });
          setDraft(limitDraft(doc));
          setVersions(null);
          save.reset();
        }}
        onClose={() => setVersions(null)}
      />
    );
  }
  const request = {
    method: "PUT", path: `/api/config-service/instance/${instanceId}/rate-limit/${provider}`, headers: { "If-Match": etag(began.version) }, body: limitBody(draft),
  } as const;
  return (
    <Dialog
      open
      persistent={draft !== began.draft}
      title={`Limits of ${provider}`}
      description="Requests over a limit are refused with 429, or wait, as the wait queue says."
      onClose={onClose}
      onSubmit={() => {
        setTried(true);
        if (Object.keys(problems).length > 0) focusFirstError(area.current);
        else send(draft, began.version);
      }}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" tone="primary" busy={save.isPending} reason={offline}>
            Save limits
          </Button>
        </>
      }
    >
      <div ref={area} className="flex flex-col gap-4">
        <div className="grid gap-4 sm:grid-cols-2">
          <Field label="Requests" help="Empty: no limit." error={errorAt("/rpm")}>
            <NumberInput unit="a minute" value={draft.rpm} onValue={(rpm) => change({ rpm })} />
          </Field>
          <Field label="Tokens" help="Empty: no limit." error={errorAt("/tpm")}>
            <NumberInput unit="a minute" value={draft.tpm} onValue={(tpm) => change({ tpm })} />
          </Field>
          <Field
            label="Images in progress"
            help={limit.default_max_inflight_images === null ? "Empty: no limit." : `Empty: the vendor's ${limit.default_max_inflight_images}.`}
            error={errorAt("/max_inflight_images")}
          >
            <NumberInput unit="at once" value={draft.inflight} onValue={(inflight) => change({ inflight })} />
          </Field>
        </div>
        <fieldset className="flex flex-col gap-3">
          <legend className="mb-1.5 text-sm font-medium">Further windows</legend>
          {draft.windows.map((window, index) => (
            <div key={index} className="flex items-end gap-2">
              <Field label={`Requests of window ${index + 1}`} className="flex-1" error={errorAt(`/windows/${index}/requests`)}>
                <NumberInput value={window.requests} onValue={(requests) => setWindow(index, { requests })} />
              </Field>
              <Field label="In any" className="flex-1" error={errorAt(`/windows/${index}/per_ms`)}>
                <NumberInput unit="seconds" value={window.seconds} onValue={(seconds) => setWindow(index, { seconds })} />
              </Field>
              <IconButton icon="trash" label={`Remove window ${index + 1}`} onClick={() => change({ windows: draft.windows.filter((_, i) => i !== index) })} />
            </div>
          ))}
          {draft.windows.length < MAX_WINDOWS && (
            <Button size="sm" icon="plus" className="self-start" onClick={() => change({ windows: [...draft.windows, { requests: null, seconds: 1 }] })}>
              Add window
            </Button>
          )}
        </fieldset>
        {save.error !== null && save.error.status !== 412 && <ErrorState compact error={save.error} />}
        <CodeDisclosure code={snippets(request, location.origin)} />
      </div>
    </Dialog>
  );
}
