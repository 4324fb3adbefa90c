/** Where a run is and where its time went: from the `Server-Timing` of its answer, and the timeline of its job. */
import type { Job } from "./model";

export interface Timing {
  name: string;
  ms: number;
}

export interface Stage {
  label: string;
  state: "done" | "failed" | "now" | "ahead";
  /** Milliseconds; `undefined` where nobody measured it. */
  ms?: number | undefined;
  /** Milliseconds since the epoch, of what goes on. */
  since?: number | undefined;
}

const NAMES: Readonly<Record<string, string>> = { auth: "Key", plan: "Plan", admit: "Admission", provider: "Provider", store: "Storage" };

/** Before anything is known of a run. */
export const AHEAD: readonly Stage[] = Object.values(NAMES).map((label) => ({ label, state: "ahead" }));

/** The parts of a `Server-Timing` header, in its order; one that is not of this form is left out. */
export function timingsOf(header: string | null | undefined): Timing[] {
  return (header ?? "").split(",").flatMap((part) => {
    const found = /^\s*([\w-]+)\s*;\s*dur=(\d+(?:\.\d+)?)\s*$/.exec(part);
    return found?.[1] === undefined ? [] : [{ name: found[1], ms: Number(found[2]) }];
  });
}

/** What the answer measured altogether. */
export function totalOf(timings: readonly Timing[]): number | undefined {
  return timings.find(({ name }) => name === "total")?.ms;
}

/** Whether a refusal with this status came from the stage that was the last to be measured; a body is refused between two of them. */
function failsAt(name: string, status: number): boolean {
  if (name === "auth") return status === 401 || status === 403;
  return name === "plan" ? status === 422 : true;
}

/** Of a run that is over with its answer. A provider that is not the last one has failed, and so has the last stage of a refusal. */
export function stagesOfAnswer(timings: readonly Timing[], refusedWith?: number): Stage[] {
  const known = timings.filter(({ name }) => name in NAMES);
  const lastProvider = known.findLastIndex(({ name }) => name === "provider");
  return numbered(
    known.map(({ name, ms }, at) => ({
      label: NAMES[name] ?? name,
      state: (name === "provider" && at < lastProvider) || (refusedWith !== undefined && at === known.length - 1 && failsAt(name, refusedWith)) ? "failed" : "done",
      ms,
    })),
  );
}

/** Of a job, running or over; what came before it stands in the answer that named it. */
export function stagesOfJob(job: Pick<Job, "state" | "created_at" | "timeline">, timings: readonly Timing[] = []): Stage[] {
  const stages: Stage[] = timings.filter(({ name }) => name === "auth" || name === "plan").map(({ name, ms }) => ({ label: NAMES[name] ?? name, state: "done", ms }));
  const admitted = timings.find(({ name }) => name === "admit")?.ms;
  /** What goes on, at most one. */
  const open: { label: string; since: number }[] = [];
  const close = (at: number, state: "done" | "failed") => {
    for (const { label, since } of open.splice(0)) stages.push({ label, state, ms: Math.max(0, at - since) });
  };
  for (const { at: time, event, provider } of job.timeline) {
    const at = Date.parse(time);
    if (event === "admitted") {
      // One that was admitted again begins anew: what came before it made nothing.
      close(at, "failed");
      stages.push({ label: "Admission", state: "done", ms: stages.some(({ label }) => label === "Admission") ? undefined : admitted });
      open.push({ label: provider ?? "Provider", since: at });
    } else if (event === "storing" || event === "stored") {
      if (open[0]?.label === "Storage") continue;
      close(at, "done");
      open.push({ label: "Storage", since: at });
    } else if (event === "succeeded") close(at, "done");
    else if (event === "failed" || event === "fallback" || event === "cancelled" || event === "dead") close(at, "failed");
  }
  for (const { label, since } of open) stages.push({ label, state: "now", ...(job.state === "unknown" ? {} : { since }) });
  if (job.state === "queued") stages.push({ label: "Queue", state: "now", since: Date.parse(job.created_at) });
  const isOpen = job.state === "running" || job.state === "unknown" || job.state === "queued";
  if (isOpen && !stages.some(({ label }) => label === "Storage")) stages.push({ label: "Storage", state: "ahead" });
  return numbered(stages);
}

/** The second and later ones of a name say so. */
function numbered(stages: readonly Stage[]): Stage[] {
  const seen = new Map<string, number>();
  return stages.map((stage) => {
    const nth = (seen.get(stage.label) ?? 0) + 1;
    seen.set(stage.label, nth);
    return nth === 1 ? stage : { ...stage, label: `${stage.label} ${nth}` };
  });
}
