import { type ReactNode, useEffect, useState } from "react";
import { countdown } from "../format/duration";
import { explain, type Explanation } from "../format/explain";
import { Button } from "./Button";
import { Id } from "./Copy";
import { cx } from "./cx";
import { Badge } from "./feedback";
import { Icon } from "./icons";

/** What an `ApiError` has. */
export interface Failure {
  status: number;
  code: string;
  message: string;
  hint: string;
  requestId: string;
  retryAfterMs?: number | undefined;
}

export interface ErrorStateProps {
  error: Failure;
  onRetry?: (() => void) | undefined;
  retrying?: boolean;
  /** In a form or panel rather than in place of a page. */
  compact?: boolean;
  /** More actions. */
  children?: ReactNode;
}

/** A failure: what, why, what to do, and what to quote. Focusable, and an alert: it appears because of an action. */
export function ErrorState({ error, onRetry, retrying = false, compact = false, children }: ErrorStateProps) {
  const left = useCountdown(error.retryAfterMs, error);
  return (
    <div
      role="alert"
      data-error={error.code}
      className={cx("flex gap-3 rounded-lg border border-bad-line bg-bad-ground px-4", compact ? "py-3" : "py-4")}
    >
      <Icon name="warningCircle" size={20} className="mt-0.5 text-bad" />
      <div className="flex min-w-0 flex-1 flex-col gap-2">
        <div className="flex flex-wrap items-center gap-2">
          <p className="min-w-0 font-semibold">{error.message}</p>
          <span className="flex gap-1.5">
            {error.status > 0 && <Badge tone="bad">{error.status}</Badge>}
            <Badge tone="bad">
              <code>{error.code}</code>
            </Badge>
          </span>
        </div>
        {error.hint !== "" && <p className="text-base">{error.hint}</p>}
        {error.requestId !== "" && (
          <p className="flex flex-wrap items-center gap-1 text-sm">
            Request id <Id id={error.requestId} what="request id" />
          </p>
        )}
        <div className="flex flex-wrap items-center gap-2">
          {onRetry !== undefined && (
            <Button size="sm" icon="arrowClockwise" busy={retrying} waiting={left > 0} onClick={onRetry}>
              {left > 0 ? `Retry in ${countdown(left)}` : "Retry"}
            </Button>
          )}
          {children}
        </div>
        <Explain key={error.code} code={error.code} />
      </div>
    </div>
  );
}

/** Milliseconds left of a pause that the server asked for; starts again with each error. */
export function useCountdown(ms: number | undefined, since: unknown): number {
  const [run, setRun] = useState<{ since: unknown; left: number }>({ since, left: ms ?? 0 });
  // A new failure starts a new count in the same render, so that no frame shows the old one.
  if (run.since !== since) setRun({ since, left: ms ?? 0 });
  useEffect(() => {
    if (ms === undefined || ms <= 0) return;
    const end = Date.now() + ms;
    const timer = setInterval(() => {
      const left = Math.max(0, end - Date.now());
      setRun({ since, left });
      if (left === 0) clearInterval(timer);
    }, 250);
    return () => clearInterval(timer);
  }, [ms, since]);
  return run.since === since ? run.left : (ms ?? 0);
}

type Loaded = "closed" | "loading" | "missing" | "failed" | Explanation;

function Explain({ code }: { code: string }) {
  const [state, setState] = useState<Loaded>("closed");
  const open = () => {
    setState("loading");
    explain(code).then(
      (found) => setState(found ?? "missing"),
      () => setState("failed"),
    );
  };
  if (state === "closed" || state === "loading") {
    return (
      <button
        type="button"
        data-explain
        onClick={open}
        className="min-h-6 self-start text-sm font-medium text-link underline underline-offset-2"
      >
        Explain this error
      </button>
    );
  }
  if (state === "missing") return <p className="text-sm">The error reference has no section for this code.</p>;
  if (state === "failed") return <p className="text-sm">The error reference could not be loaded. Reload the page.</p>;
  return (
    <dl className="grid grid-cols-[auto_1fr] gap-x-3 gap-y-1 border-t border-bad-line pt-2 text-sm">
      {state.parts.map((part) => (
        <div key={part.title} className="contents">
          <dt className="font-medium">{part.title}</dt>
          <dd>{part.text}</dd>
        </div>
      ))}
    </dl>
  );
}
