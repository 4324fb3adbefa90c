/** The run of the playground. It is kept outside the page, because its answer comes also while another page is shown. */
import type { ApiError } from "../../api/errors";
import { type GenerateRequest, type GenerateResponse, jobBehind, type Once, type PlayForm } from "./model";
import type { Timing } from "./stages";

/** What was sent; shown with its answer, whatever the form says meanwhile. */
export interface Sent {
  body: GenerateRequest;
  instanceId: string | undefined;
  /** Milliseconds since the epoch. */
  at: number;
}

export type Phase =
  | { is: "sending"; sent: Sent }
  | { is: "made"; sent: Sent; result: GenerateResponse; tookMs: number; timings: readonly Timing[] }
  | { is: "refused"; sent: Sent; error: ApiError };

export interface Held {
  /** New with each start. */
  run: string;
  /** Who started it: nobody else is shown it. */
  owner: string;
  form: PlayForm;
  /** `null` when the outcome is known. */
  once: Once | null;
  phase: Phase;
}

/** The part that stands in the entry of the browser's history, so that a reload finds its run; it never holds a key. */
export interface Kept {
  run: string;
  /** Who asked; the entry is as good as empty for anybody else. */
  owner: string;
  /** Where it was asked: a typed key's instance does not stand in the address. */
  instanceId: string | undefined;
  form: PlayForm;
  body: GenerateRequest;
  once: Once | null;
  job: string | undefined;
  /** No answer came yet. */
  open: boolean;
}

let held: Held | null = null;
const listeners = new Set<() => void>();

export function heldRun(): Held | null {
  return held;
}

export function watchHeld(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function hold(next: Held): void {
  held = next;
  for (const listener of listeners) listener();
}

/** A new run, held from now on. */
export function begin(facts: Pick<Held, "owner" | "form" | "once"> & Pick<Sent, "body" | "instanceId">): Held {
  const { owner, form, once, body, instanceId } = facts;
  const run: Held = { run: crypto.randomUUID(), owner, form, once, phase: { is: "sending", sent: { body, instanceId, at: Date.now() } } };
  hold(run);
  return run;
}

/** Its picture came. */
export function finish({ run, phase: { sent } }: Held, result: GenerateResponse, timings: readonly Timing[]): void {
  amend(run, { once: null, phase: { is: "made", sent, result, tookMs: Date.now() - sent.at, timings } });
}

/** Changes the run, unless another one began meanwhile. */
export function amend(run: string, change: Partial<Pick<Held, "once" | "phase">>): void {
  if (held?.run !== run) return;
  const next = { ...held, ...change };
  if (next.once === held.once && next.phase === held.phase) return;
  hold(next);
}

/** The job of the run, as far as it is known. */
export function jobOf({ phase }: Pick<Held, "phase">): string | undefined {
  if (phase.is === "made") return phase.result.job_id;
  return phase.is === "refused" ? (jobBehind(phase.error) ?? undefined) : undefined;
}

export function keptOf(run: Held): Kept {
  const { phase, form, once, owner } = run;
  const open = phase.is === "sending" || (phase.is === "refused" && phase.error.status === 0 && jobOf(run) === undefined);
  return { run: run.run, owner, instanceId: phase.sent.instanceId, form, body: phase.sent.body, once, job: jobOf(run), open };
}

/** What must be sent once more, to the letter, to learn what became of a request: another body or instance would be another one. */
export interface Again {
  form: PlayForm;
  body: GenerateRequest;
  instanceId: string | undefined;
  once: Once;
}

/** The request of the run, or of an entry without one, while nobody knows what became of it. */
export function againOf(run: Held | null, kept: Kept | undefined): Again | null {
  if (run !== null) {
    const { form, once, phase } = run;
    return phase.is !== "refused" || once === null ? null : { form, once, body: phase.sent.body, instanceId: phase.sent.instanceId };
  }
  if (kept === undefined || kept.once === null) return null;
  const { form, once, body, instanceId } = kept;
  return { form, once, body, instanceId };
}

/** The part of an entry that the person who looks may see. */
export function ownKept(kept: Kept | undefined, owner: string): Kept | undefined {
  return kept?.owner === owner ? kept : undefined;
}

/** Whether an entry of the history shows the run: its own, or one that shows nothing else. */
export function belongs(run: Held, owner: string, entry: { kept: Kept | undefined; job: string | undefined }): boolean {
  if (run.owner !== owner) return false;
  if (entry.kept !== undefined) return entry.kept.run === run.run;
  return entry.job === undefined || entry.job === jobOf(run);
}
