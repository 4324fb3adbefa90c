/** States: badge, meter, banner, skeleton, nothing here, stale. */
import { type ReactNode, useEffect, useState } from "react";
import { clockTime, type Instant, localTime, relativeTime, toDate, utcTime } from "../format/time";
import { cx } from "./cx";
import { Icon, type IconName } from "./icons";
import { Tooltip } from "./Tooltip";

export type Tone = "good" | "warn" | "bad" | "info" | "neutral";

const BADGE: Record<Tone, string> = {
  good: "border-good-line bg-good-ground text-good",
  warn: "border-warn-line bg-warn-ground text-warn",
  bad: "border-bad-line bg-bad-ground text-bad",
  info: "border-info-line bg-info-ground text-info",
  neutral: "border-line bg-sunken text-muted",
};
const DOT: Record<Tone, string> = {
  good: "rounded-full bg-current",
  warn: "rotate-45 bg-current",
  bad: "bg-current",
  info: "rounded-full border-2 border-current",
  neutral: "rounded-full border-2 border-current",
};

/** A state in a word. The dot's shape says the tone too, so nothing is told by colour alone. */
export function Badge({ tone = "neutral", children, dot = false }: { tone?: Tone; children: ReactNode; dot?: boolean }) {
  return (
    <span className={cx("inline-flex h-5.5 items-center gap-1.5 rounded-full border px-2 text-xs font-medium whitespace-nowrap", BADGE[tone])}>
      {dot && <span aria-hidden="true" className={cx("size-1.75 shrink-0", DOT[tone])} />}
      {children}
    </span>
  );
}

export interface MeterProps {
  label: string;
  value: number;
  /** `null`: no limit, so there is no bar. */
  limit: number | null;
  /** The reading in words: "3 of 10 images", "$1.20 of $50.00". */
  text: string;
  /** Held but not used yet: drawn lighter, behind. */
  reserved?: number;
}

export function Meter({ label, value, limit, text, reserved = 0 }: MeterProps) {
  const share = limit === null || limit <= 0 ? 0 : Math.min(1, value / limit);
  const held = limit === null || limit <= 0 ? 0 : Math.min(1, (value + reserved) / limit);
  const colour = share >= 1 ? "bg-danger" : share >= 0.9 ? "bg-bad" : share >= 0.7 ? "bg-warn" : "bg-accent";
  return (
    <div className="flex min-w-0 flex-col gap-1.5">
      <div className="flex items-baseline justify-between gap-3 text-sm">
        <span className="font-medium">{label}</span>
        <span className="text-muted tabular-nums">{text}</span>
      </div>
      {limit !== null && (
        <div
          role="meter"
          aria-label={label}
          aria-valuemin={0}
          aria-valuemax={limit}
          aria-valuenow={Math.min(value, limit)}
          aria-valuetext={text}
          className="relative h-1.5 overflow-hidden rounded-full bg-hover"
        >
          <span className={cx("absolute inset-y-0 left-0 rounded-full opacity-35", colour)} style={{ width: `${held * 100}%` }} />
          <span className={cx("absolute inset-y-0 left-0 rounded-full", colour)} style={{ width: `${share * 100}%` }} />
        </div>
      )}
    </div>
  );
}

const BANNER_ICONS: Record<Tone, IconName> = { good: "checkCircle", warn: "warning", bad: "warningCircle", info: "info", neutral: "info" };

export interface BannerProps {
  tone?: Tone;
  title: ReactNode;
  children?: ReactNode;
  action?: ReactNode;
}

export function Banner({ tone = "info", title, children, action }: BannerProps) {
  return (
    <div className={cx("flex items-start gap-4 rounded-lg border px-4 py-3", BADGE[tone])}>
      <Icon name={BANNER_ICONS[tone]} size={18} className="mt-0.5" />
      <div className="flex min-w-0 flex-1 flex-wrap items-start gap-x-4 gap-y-2">
        <div className="min-w-48 flex-1 text-text">
          <p className="font-medium">{title}</p>
          {children !== undefined && <div className="text-sm">{children}</div>}
        </div>
        {action}
      </div>
    </div>
  );
}

/** A grey shape in place of content; shown only after 150 ms, so that a fast answer does not flicker. */
export function Skeleton({ className }: { className?: string }) {
  return (
    <span
      aria-hidden="true"
      className={cx("block rounded-md bg-hover animate-[sy-late_150ms_step-end,sy-pulse_1.6s_ease-in-out_150ms_infinite]", className)}
    />
  );
}

/** Lines of text that are loading. */
export function SkeletonText({ lines = 3 }: { lines?: number }) {
  return (
    <div className="flex flex-col gap-2.5" role="status" aria-label="Loading">
      {Array.from({ length: lines }, (_, at) => (
        <Skeleton key={at} className={cx("h-4", at % 3 === 2 ? "w-2/3" : "w-full")} />
      ))}
    </div>
  );
}

export interface EmptyStateProps {
  icon?: IconName;
  title: string;
  /** Why it is empty. */
  children?: ReactNode;
  action?: ReactNode;
  /** The command that makes the first row. */
  code?: ReactNode;
}

export function EmptyState({ icon = "stack", title, children, action, code }: EmptyStateProps) {
  return (
    <div className="flex flex-col items-center gap-3 px-4 py-12 text-center">
      <span className="inline-flex size-11 items-center justify-center rounded-full border border-line bg-sunken text-muted">
        <Icon name={icon} size={22} />
      </span>
      <div className="flex max-w-md flex-col gap-1 text-balance">
        <p className="text-lg font-semibold">{title}</p>
        {children !== undefined && <div className="text-base text-muted">{children}</div>}
      </div>
      {action}
      {code !== undefined && <div className="mt-2 w-full max-w-2xl text-left">{code}</div>}
    </div>
  );
}

/** The clock of a component that shows ages. */
export function useNow(everyMs = 1_000): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

/** Appears when data is older than twice its interval. */
export function StaleBadge({ updatedAt, intervalMs }: { updatedAt: number; intervalMs: number }) {
  const now = useNow(5_000);
  if (updatedAt === 0 || now - updatedAt <= 2 * intervalMs) return null;
  return (
    <Badge tone="warn" dot>
      as of {clockTime(updatedAt)}
    </Badge>
  );
}

/** A time as people read it, UTC on hover and focus. `relative`: "3 h ago". */
export function Time({ at, relative = false }: { at: Instant; relative?: boolean }) {
  const now = useNow(relative ? 10_000 : 3_600_000);
  const date = toDate(at);
  if (date === null) return <span className="text-muted">{relative ? "never" : "–"}</span>;
  return (
    <Tooltip text={relative ? `${localTime(date)} · ${utcTime(date)}` : utcTime(date)}>
      <time dateTime={date.toISOString()} className="whitespace-nowrap tabular-nums">
        {relative ? relativeTime(date, now) : localTime(date)}
      </time>
    </Tooltip>
  );
}
