import { duration } from "../../format/duration";
import { cx, Icon, type IconName, Spinner, useNow } from "../../ui";
import type { Stage } from "./stages";

const SHOWN: Readonly<Record<Stage["state"], { word: string; icon: IconName | null; tone: string }>> = {
  done: { word: "done", icon: "checkCircle", tone: "text-good" },
  failed: { word: "failed", icon: "warningCircle", tone: "text-bad" },
  now: { word: "goes on", icon: null, tone: "text-accent" },
  ahead: { word: "still ahead", icon: "minus", tone: "text-faint" },
};

/** The stages of a run in their order, each with its time. */
export function StageStrip({ stages, totalMs }: { stages: readonly Stage[]; totalMs?: number | undefined }) {
  const now = useNow(500);
  if (stages.length === 0) return null;
  return (
    <ol aria-label="Stages" className="flex flex-wrap gap-px overflow-hidden rounded-md border border-line bg-line">
      {stages.map((stage, at) => (
        <StageCell key={at} stage={stage} now={now} />
      ))}
      {totalMs !== undefined && <StageCell stage={{ label: "Altogether", state: "done", ms: totalMs }} now={now} sum />}
    </ol>
  );
}

function StageCell({ stage, now, sum = false }: { stage: Stage; now: number; sum?: boolean }) {
  const { word, icon, tone } = SHOWN[stage.state];
  const ms = stage.ms ?? (stage.since === undefined ? undefined : Math.max(0, now - stage.since));
  return (
    <li className={cx("flex min-w-0 grow basis-28 flex-col gap-0.5 px-3 py-2", sum ? "bg-sunken" : "bg-surface")}>
      <span className="flex min-w-0 items-center gap-1.5 text-sm text-muted">
        {!sum && <span className={tone}>{icon === null ? <Spinner size={14} /> : <Icon name={icon} size={14} />}</span>}
        <span className="min-w-0 break-words">{stage.label}</span>
        {!sum && <span className="sr-only">: {word}</span>}
      </span>
      <span className="text-base tabular-nums">{ms === undefined ? <span className="text-muted">–</span> : duration(ms)}</span>
    </li>
  );
}
