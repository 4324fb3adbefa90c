import { useEffect } from "react";
import type { ApiError } from "../../api/errors";
import { duration } from "../../format/duration";
import { money } from "../../format/money";
import { announce, Badge, Banner, Button, CodeDisclosure, CopyTextButton, ErrorState, Facts, Icon, Id, Panel, SkeletonText, Spinner, Time, useNow } from "../../ui";
import type { Sent } from "./held";
import { KeysLink, MovedHosts } from "./InstanceState";
import { adviceOf, eventOf, failureOf, type GenerateRequest, isOver, type Job, mayLackKey, newsOf, sentence, skippedOf, stageOf } from "./model";
import { type Caller, useJob } from "./queries";
import { codeOf, type ResultTab, ResultView } from "./ResultView";
import type { Run } from "./run";
import { isLost, spentOf, spentOfJob } from "./spent";
import { AHEAD, stagesOfAnswer, stagesOfJob, timingsOf, totalOf } from "./stages";
import { StageStrip } from "./StageStrip";

/** A request that waits for its answer. */
export function Sending({ sent, usualMs }: { sent: Sent; usualMs: number | undefined }) {
  const now = useNow(250);
  return (
    <Panel title="Generating" lead={sent.body.model === undefined ? "The platform chooses the model" : `${sent.body.provider ?? ""} / ${sent.body.model}`}>
      <div className="flex flex-col items-center gap-4 py-14 text-center">
        <Spinner size={28} />
        <p className="text-xl font-semibold tabular-nums">{duration(Math.max(0, now - sent.at))}</p>
        <p className="max-w-md text-muted">
          {usualMs === undefined ? "A picture takes seconds to minutes." : `This model usually takes ${duration(usualMs)}.`} It goes on while you look
          at other pages, and waits for you here. Keep the tab open until then.
        </p>
      </div>
      <StageStrip stages={AHEAD} />
    </Panel>
  );
}

export interface FailureViewProps {
  caller: Caller;
  error: ApiError;
  sent: Sent | null;
  onRetry?: (() => void) | undefined;
  /** Sends the same request once more, where nobody knows what became of it. */
  onFind?: (() => void) | undefined;
  /** The job that ended so. */
  job?: Job | undefined;
}

/** What happened, what it cost, what to do. */
export function FailureView({ caller, error, sent, onRetry, onFind, job }: FailureViewProps) {
  const advice = adviceOf(error);
  const skipped = skippedOf(error);
  const timings = timingsOf(error.serverTiming);
  const spent = job === undefined ? spentOf(error) : spentOfJob(error);
  const lost = job === undefined && isLost(error);
  // A pause that the server asks for is counted down on "Retry".
  const again = !lost ? onRetry : error.retryAfterMs === undefined ? undefined : onFind;
  const booked = job?.cost_usd_micros;
  const at = sent?.instanceId ?? job?.instance_id;
  const code = sent === null ? null : codeOf(sent.body, sent.instanceId);
  return (
    <Panel title="No picture" lead={error.status > 0 ? `HTTP status ${error.status}` : job === undefined ? "No usable answer came." : "The job ended without one."}>
      <div className="flex min-w-0 flex-col gap-4">
        <ErrorState error={error} onRetry={again}>
          {lost && again === undefined && onFind !== undefined && (
            <Button size="sm" icon="arrowClockwise" onClick={onFind}>
              Find the picture
            </Button>
          )}
          <KeysLink code={error.code} instanceId={at} />
          {code !== null && <CopyTextButton text={code["curl"] ?? ""} what="curl command" label="Copy as curl" />}
        </ErrorState>
        {at !== undefined && <MovedHosts caller={caller} instanceId={at} wanted={mayLackKey(error.code)} />}
        <Facts
          columns={1}
          facts={[
            ...(advice === null ? [] : [{ name: "What to do", value: advice }]),
            {
              name: "What it cost",
              value: (
                <span className="inline-flex items-start gap-2">
                  <Icon name={spent.tone === "good" ? "checkCircle" : "warning"} size={16} className={spent.tone === "good" ? "mt-0.5 text-good" : "mt-0.5 text-warn"} />
                  <span>{typeof booked === "number" ? `${money(booked)} booked for the job.` : spent.text}</span>
                </span>
              ),
            },
            ...(job === undefined ? [] : [{ name: "Job", value: <Id id={job.job_id} what="job id" /> }]),
          ]}
        />
        {job === undefined ? <StageStrip stages={stagesOfAnswer(timings, error.status)} totalMs={totalOf(timings)} /> : <StageStrip stages={stagesOfJob(job)} totalMs={tookOf(job)} />}
        {skipped.length > 0 && (
          <section aria-labelledby="skipped" className="flex flex-col gap-2">
            <h3 id="skipped" className="text-base font-semibold">
              Why each provider was passed over
            </h3>
            <Facts columns={2} facts={skipped.map(({ name, reason }) => ({ name, value: sentence(reason) }))} />
          </section>
        )}
        {job !== undefined && <Timeline job={job} />}
        {code !== null && <CodeDisclosure code={code} />}
      </div>
    </Panel>
  );
}

export interface JobWatchProps {
  caller: Caller;
  instanceId: string | undefined;
  jobId: string;
  /** What this page asked, and the answer that named the job. */
  run: Run["phase"];
  /** The request of the job, when it is known here. */
  asked: GenerateRequest | null;
  /** Option names in words. */
  labels: Readonly<Record<string, string>>;
  tab: ResultTab;
  onTab: (tab: ResultTab) => void;
  onOver: () => void;
  onAgain: (() => void) | undefined;
}

/** A job that goes on behind a failed answer, or one that the address names: shown until its picture comes. */
export function JobWatch({ run, ...props }: JobWatchProps) {
  const { caller, instanceId, labels, tab, onTab } = props;
  // The answer of a request is the end of its job: nothing is left to ask for.
  if (run.is === "made" && run.result.job_id === props.jobId && caller.ready) {
    const { sent, result, tookMs, timings } = run;
    return <ResultView {...{ caller, instanceId, result, tookMs, labels, tab, onTab }} asked={sent.body} stages={stagesOfAnswer(timings)} totalMs={totalOf(timings)} />;
  }
  return <Watched {...props} sent={run.is === "idle" ? null : run.sent} after={run.is === "refused" ? run.error : null} />;
}

type WatchedProps = Omit<JobWatchProps, "run"> & { sent: Sent | null; after: ApiError | null };

function Watched({ caller, instanceId, jobId, sent, asked, after, labels, tab, onTab, onOver, onAgain }: WatchedProps) {
  const { job, error, retry } = useJob(caller, instanceId, jobId);
  const over = job !== undefined && isOver(job);
  const news = job === undefined ? undefined : newsOf(job);
  useEffect(() => {
    if (news !== undefined) announce(news);
  }, [news]);
  useEffect(() => {
    if (over) onOver();
  }, [over, onOver]);

  if (!caller.ready) {
    return (
      <Panel title="A job waits here">
        <Banner title="Enter a key to see it">The address names a job. It is shown to a key that may read its instance.</Banner>
      </Panel>
    );
  }
  if (job === undefined) {
    return <Panel title="Looking for the job">{error === null ? <SkeletonText lines={5} /> : <ErrorState error={error} onRetry={retry} />}</Panel>;
  }
  if (job.result !== null) {
    const { result, instance_id: at } = job;
    return <ResultView {...{ caller, result, labels, tab, onTab }} instanceId={at} asked={asked} stages={stagesOfJob(job, timingsOf(after?.serverTiming))} totalMs={tookOf(job)} />;
  }
  const failure = failureOf(job);
  if (failure !== null) return <FailureView caller={caller} error={failure} sent={sent} job={job} onRetry={onAgain} />;
  return <Progress job={job} after={after} error={error} />;
}

function Progress({ job, after, error }: { job: Job; after: ApiError | null; error: ApiError | null }) {
  const now = useNow(1_000);
  const unknown = job.state === "unknown";
  const lead =
    after?.code === "idempotency_in_flight"
      ? "The same request runs already, and nothing is paid twice."
      : after?.code === "unreadable_answer"
        ? "The answer broke off, and its job goes on."
        : after === null
          ? "The job goes on."
          : "This one takes longer than a request waits.";
  return (
    <Panel title={stageOf(job)} lead={`${job.provider} / ${job.model}, since ${duration(Math.max(0, now - Date.parse(job.created_at)))}`} actions={<Badge tone={unknown ? "warn" : "info"} dot>{sentence(job.state)}</Badge>}>
      <div className="flex min-w-0 flex-col gap-5">
        {unknown && (
          <Banner tone="warn" title="Nobody knows yet whether the provider drew it">
            It is never sent again by itself, because that could be paid twice. The platform asks the provider until it knows.
          </Banner>
        )}
        {error !== null && (
          <Banner tone="neutral" title="The job could not be asked for just now">
            {error.message} It is asked for again every few seconds.
          </Banner>
        )}
        <div className="flex items-start gap-3 text-muted">
          <span className="mt-0.5 shrink-0">
            <Spinner size={18} />
          </span>
          <span>
            {lead} The picture appears here by itself; do not send it again. You can close the page: its address finds the job again.
          </span>
        </div>
        <Facts
          columns={3}
          facts={[
            { name: "Attempts", value: String(job.attempts) },
            { name: "Estimate", value: money(job.estimate_usd_micros) },
            ...(after === null || after.status === 0 ? [] : [{ name: "First answer", value: <code className="text-sm">{`${after.status} ${after.code}`}</code> }]),
            ...(after === null || after.requestId === "" ? [] : [{ name: "Request id", value: <Id id={after.requestId} what="request id" /> }]),
            { name: "Job", value: <Id id={job.job_id} what="job id" /> },
          ]}
        />
        <StageStrip stages={stagesOfJob(job, timingsOf(after?.serverTiming))} />
        <Timeline job={job} />
      </div>
    </Panel>
  );
}

/** From its acceptance to its last change. */
function tookOf(job: Job): number {
  return Math.max(0, Date.parse(job.updated_at) - Date.parse(job.created_at));
}

/** What happened to the job, in order. */
function Timeline({ job }: { job: Job }) {
  if (job.timeline.length === 0) return null;
  return (
    <section aria-labelledby="timeline" className="flex flex-col gap-2">
      <h3 id="timeline" className="text-base font-semibold">
        What happened
      </h3>
      <ol className="flex flex-col">
        {job.timeline.map((event, at) => (
          <li key={at} className="flex flex-wrap items-baseline gap-x-3 border-l-2 border-line py-1 pl-3 text-sm">
            <span className="font-medium">{eventOf(event.event)}</span>
            {event.provider !== undefined && <span className="text-muted">{event.provider}</span>}
            <span className="text-muted">
              <Time at={event.at} />
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}
