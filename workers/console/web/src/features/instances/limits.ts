/** Limits of one provider as a form, and as the API takes them. */
import { type Json } from "../../ui";
import { type Doc, isRecord, type Problems, rangeProblem } from "./model";

export interface Window {
  requests: number;
  per_ms: number;
}

export interface WindowDraft {
  requests: number | null;
  seconds: number | null;
}

export interface LimitDraft {
  rpm: number | null;
  tpm: number | null;
  inflight: number | null;
  windows: readonly WindowDraft[];
}

export const MAX_WINDOWS = 4;

export function limitDraft(value: Readonly<Record<string, unknown>>): LimitDraft {
  const windows = Array.isArray(value["windows"]) ? (value["windows"] as unknown[]).filter(isRecord) : [];
  return {
    rpm: number(value["rpm"]),
    tpm: number(value["tpm"]),
    inflight: number(value["max_inflight_images"]),
    windows: windows.map((window) => {
      const perMs = number(window["per_ms"]);
      return { requests: number(window["requests"]), seconds: perMs === null ? null : perMs / 1000 };
    }),
  };
}

/** The body of a PUT; also what versions are compared by. */
export function limitBody(draft: LimitDraft): { rpm: number | null; tpm: number | null; max_inflight_images: number | null; windows: Window[] } {
  return {
    rpm: draft.rpm,
    tpm: draft.tpm,
    max_inflight_images: draft.inflight,
    windows: draft.windows.map((window) => ({ requests: window.requests ?? 0, per_ms: Math.round((window.seconds ?? 0) * 1000) })),
  };
}

export function limitDoc(draft: LimitDraft): Doc {
  return limitBody(draft) as unknown as Readonly<Record<string, Json>>;
}

export function limitProblems(draft: LimitDraft): Problems {
  const found: Record<string, string | undefined> = {
    "/rpm": rangeProblem(draft.rpm, 1, 6_000),
    "/tpm": rangeProblem(draft.tpm, 1, 100_000_000),
    "/max_inflight_images": rangeProblem(draft.inflight, 1, 1_000),
  };
  draft.windows.forEach((window, index) => {
    found[`/windows/${index}/requests`] = window.requests === null ? "Enter a number." : rangeProblem(window.requests, 1, 100_000);
    const fits = window.seconds !== null && window.seconds >= 1 && window.seconds <= 3_600;
    found[`/windows/${index}/per_ms`] = fits ? undefined : "Must be 1 to 3,600 seconds.";
  });
  return Object.fromEntries(Object.entries(found).filter((entry): entry is [string, string] => entry[1] !== undefined));
}

export function windowText(window: Window): string {
  return `${window.requests.toLocaleString("en-US")} in ${(window.per_ms / 1000).toLocaleString("en-US")} s`;
}

function number(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}
