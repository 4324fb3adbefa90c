import { getRouteApi } from "@tanstack/react-router";
import { type RefObject, useEffect, useRef, useState } from "react";
import type { ApiError } from "../../api/errors";
import { useOfflineReason } from "../../api/connection_hooks";
import { useInstance } from "../../api/instance";
import { hasRole, useSession } from "../../api/session";
import { keyFaultText } from "../../format/api_key";
import { useShortcuts } from "../../keyboard";
import { Banner, Button, CodeBlock, CodeDisclosure, EmptyState, focusFirstError, Page, Panel } from "../../ui";
import { Inactive, NoInstance, NoProviderKey } from "./InstanceState";
import { behindMore, bodyOf, emptyForm, faultsOf, jobBehind, labelsOf, type PlayForm, promptLimitOf, unreadNumbers } from "./model";
import { commonOptions, type ModelOption } from "./options";
import { PlayFormPanel } from "./PlayFormPanel";
import { callerOf, nextTurn, useModels, useTypedPrincipal } from "./queries";
import { codeOf, type ResultTab } from "./ResultView";
import { useRun } from "./run";
import { FailureView, JobWatch, Sending } from "./RunStates";

const route = getRouteApi("/framed/play");
const NO_OPTIONS: readonly ModelOption[] = [];

export function PlayPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const session = useSession();
  const { current, all, unknown } = useInstance();
  const offline = useOfflineReason();

  // A typed key lives in this component only; `turn` stands for it in the query cache.
  const [typed, setTyped] = useState({ key: "", turn: 0 });
  const caller = callerOf(typed.key, typed.turn, session !== null);
  const typedPrincipal = useTypedPrincipal(caller);
  const own = caller.apiKey !== null;
  const instances = own ? (typedPrincipal.principal?.instances ?? all) : all;
  const [chosen, setChosen] = useState<string | undefined>(undefined);
  const instanceId = own
    ? (instances.find(({ instance_id: id }) => id === chosen) ?? instances.find(({ instance_id: id }) => id === search.instance) ?? instances[0])?.instance_id
    : current?.instance_id;

  const chosenInstance = instances.find(({ instance_id: id }) => id === instanceId);

  const models = useModels(caller, instanceId);
  const run = useRun(caller, instanceId, session?.userId ?? "");
  const [form, setForm] = useState<PlayForm>(() => run.restored ?? emptyForm);
  const [checked, setChecked] = useState(false);
  const [more, setMore] = useState(false);
  const formRef = useRef<HTMLFormElement>(null);
  const resultRef = useRef<HTMLDivElement>(null);

  const known = models.models ?? [];
  const model = known.find(({ id }) => id === form.model);
  const options = form.model === "" ? commonOptions(known) : (model?.options ?? NO_OPTIONS);
  const body = bodyOf(form, options);
  const promptLimit = promptLimitOf(known, model);
  const faults = faultsOf(form, promptLimit);
  const keyless = caller.ready && instanceId !== undefined && chosenInstance?.status === "active" && models.models?.length === 0;
  const permissions = own ? typedPrincipal.principal?.permissions : session?.permissions;
  const mayGenerate = permissions === undefined || permissions.includes("images:write") || permissions.includes("*");
  const keyProblem = keyProblemOf(typed.key, session !== null);
  const { phase } = run;

  const submit = () => {
    if (offline !== undefined || !mayGenerate || phase.is === "sending") return;
    setChecked(true);
    const unread = unreadNumbers(body);
    if (Object.keys(faults).length > 0 || unread.length > 0 || keyProblem !== null) {
      if (behindMore(options).some((name) => name in faults || unread.includes(name))) setMore(true);
      focusFirstError(formRef.current);
      return;
    }
    setChecked(false);
    run.start(form, body);
    show(resultRef.current);
  };
  useShortcuts("Playground", [{ keys: "mod+enter", does: "Generate", whileTyping: true, run: submit }]);

  const tab: ResultTab = search.tab ?? "picture";
  const onTab = (next: ResultTab) =>
    void navigate({ search: (old) => ({ ...old, tab: next === "picture" ? undefined : next }), state: true, replace: true, resetScroll: false });
  // Nothing can be sent while the console is away; the button comes back with it.
  const retry = offline === undefined ? submit : undefined;
  // What was sent is sent again, not the form: an edited form would be another request, and a second charge.
  const find = () => {
    setChecked(true);
    if (keyProblem === null) run.find();
    else focusFirstError(formRef.current);
  };
  const error = phase.is === "refused" ? phase.error : null;
  const refusedFields = error === null ? [] : behindMore(options).filter((name) => error.fieldError(`/${name}`) !== undefined);
  useFocusOnRefusal(error, { form, sent: run.restored, formRef, resultRef, onHidden: refusedFields.length > 0 ? () => setMore(true) : undefined });
  // The address follows a moment after the answer.
  const jobId = search.job ?? (phase.is === "made" ? phase.result.job_id : error === null ? undefined : (jobBehind(error) ?? undefined));

  return (
    <Page title="Playground" lead="Write a prompt, choose a model, get the picture with everything that belongs to it.">
      {unknown !== undefined && !own && (
        <Banner tone="warn" title={`The instance “${unknown}” is not one of yours`}>
          Choose another one in the form, or ask an administrator for access.
        </Banner>
      )}
      {session !== null && !own && all.length === 0 && <NoInstance admin={hasRole(session, "admin")} />}
      {chosenInstance !== undefined && (
        <Inactive
          key={chosenInstance.instance_id}
          caller={caller}
          session={session}
          instance={chosenInstance}
          refused={error?.code === "instance_paused" || error?.code === "instance_not_active"}
        />
      )}
      {!mayGenerate && (
        <Banner tone="warn" title="This key may not make pictures">
          It lacks the scope images:write. Ask an administrator for it, or use another key in the form.
        </Banner>
      )}
      {run.interrupted && phase.is === "idle" && jobId === undefined && (
        <Banner
          tone="warn"
          title="The page was left before its answer came"
          action={
            <Button size="sm" icon="arrowClockwise" reason={offline} onClick={find}>
              Find the picture
            </Button>
          }
        >
          {session === null ? "Enter the key again; the " : "The "}same request is sent once more and joins its job: it is paid once.
        </Banner>
      )}
      <div className="grid min-w-0 grid-cols-1 items-start gap-5 lg:grid-cols-[minmax(0,25rem)_minmax(0,1fr)]">
        <div className="flex min-w-0 flex-col gap-4">
          <PlayFormPanel
            formRef={formRef}
            form={form}
            onForm={setForm}
            session={session}
            apiKey={typed.key}
            onApiKey={(key) => setTyped({ key, turn: nextTurn() })}
            keyError={(checked ? keyProblem : null) ?? typedKeyError(typedPrincipal.error, error?.status === 401)}
            instances={instances}
            instanceId={instanceId}
            onInstance={(id) => {
              setChosen(id);
              if (!own) void navigate({ search: (old) => ({ ...old, instance: id, job: undefined }), state: true, replace: true, resetScroll: false });
            }}
            models={models}
            caller={caller}
            options={options}
            promptLimit={promptLimit}
            faults={checked ? faults : {}}
            error={error}
            busy={phase.is === "sending"}
            more={more}
            onMore={setMore}
            reason={offline ?? (mayGenerate ? undefined : "The key lacks the scope images:write.")}
            onSubmit={submit}
          />
          {form.prompt.trim() !== "" && <CodeDisclosure code={codeOf(body, instanceId)}>Show this call as code</CodeDisclosure>}
        </div>
        <div ref={resultRef} tabIndex={-1} role="group" aria-label="Result" className="min-w-0 scroll-mt-20 rounded-lg">
          {phase.is === "sending" ? (
            <Sending sent={phase.sent} usualMs={model?.medianMs} />
          ) : jobId !== undefined ? (
            <JobWatch
              key={jobId}
              caller={caller}
              instanceId={phase.is !== "idle" ? phase.sent.instanceId : run.asked?.job === jobId ? (run.asked.instanceId ?? instanceId) : instanceId}
              jobId={jobId}
              run={phase}
              asked={run.asked?.job === jobId ? run.asked.body : null}
              labels={labelsOf(known)}
              tab={tab}
              onTab={onTab}
              onOver={run.settle}
              onAgain={phase.is === "idle" ? undefined : retry}
            />
          ) : phase.is === "refused" ? (
            <FailureView caller={caller} error={phase.error} sent={phase.sent} onRetry={retry} onFind={offline === undefined ? find : undefined} />
          ) : keyless ? (
            <NoProviderKey caller={caller} instanceId={instanceId} admin={!own && hasRole(session, "admin")} />
          ) : (
            <Nothing curl={codeOf(bodyOf({ ...emptyForm, prompt: "a lighthouse at dawn" }, NO_OPTIONS), instanceId)["curl"] ?? ""} />
          )}
        </div>
      </div>
    </Page>
  );
}

interface Refusal {
  form: PlayForm;
  /** The form of the run. */
  sent: PlayForm | undefined;
  formRef: RefObject<HTMLFormElement | null>;
  resultRef: RefObject<HTMLDivElement | null>;
  /** Opens the part of the form that has a refused field. */
  onHidden: (() => void) | undefined;
}

/** After a refusal the focus goes to the first refused field, else to the failure; not away from somebody who typed on meanwhile. */
function useFocusOnRefusal(error: ApiError | null, { form, sent, formRef, resultRef, onHidden }: Refusal): void {
  const last = useRef(error);
  useEffect(() => {
    if (last.current === error) return;
    last.current = error;
    if (error === null || form !== sent) return;
    onHidden?.();
    requestAnimationFrame(() => {
      const field = formRef.current?.querySelector<HTMLElement>('[aria-invalid="true"]');
      (field ?? resultRef.current)?.focus({ preventScroll: field === undefined || field === null });
    });
  });
}

/** On a narrow page the result is below the form, on a long one above the button. */
function show(result: HTMLElement | null): void {
  const top = result?.getBoundingClientRect().top ?? 0;
  if (top < 0 || top > window.innerHeight * 0.6) result?.scrollIntoView({ block: "start" });
}

/** What is wrong with the key before anything is sent. */
function keyProblemOf(key: string, signedIn: boolean): string | null {
  if (key.trim() === "") return signedIn ? null : "Enter an API key, or sign in.";
  return keyFaultText(key);
}

function typedKeyError(found: { status: number; message: string; hint: string } | null, refused: boolean): string | undefined {
  if (found?.status === 401) return `${found.message} ${found.hint}`.trim();
  return refused ? "The server does not know this key." : undefined;
}

function Nothing({ curl }: { curl: string }) {
  return (
    <Panel>
      <EmptyState icon="image" title="No picture yet" code={<CodeBlock code={curl} what="curl command" />}>
        It appears here with its address, its R2 path, what drew it, what it cost, and the request id. A slow one is watched until it comes.
      </EmptyState>
    </Panel>
  );
}
