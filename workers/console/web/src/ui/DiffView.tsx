import { cx } from "./cx";
import { type DiffRow, equal, type Json, shownValue } from "./diff";
import { Badge, type Tone } from "./feedback";

const KINDS: Record<DiffRow["kind"], { tone: Tone; word: string }> = {
  added: { tone: "good", word: "added" },
  removed: { tone: "bad", word: "removed" },
  changed: { tone: "info", word: "changed" },
};

export interface DiffViewProps {
  /** From `diff(base, mine)` or `diff(base, mine, theirs)`. */
  rows: readonly DiffRow[];
  /** Shown when there is none. */
  none?: string;
}

/** What changes, member by member, before it is saved; with `theirs`, also what somebody else changed meanwhile. */
export function DiffView({ rows, none = "Nothing changes." }: DiffViewProps) {
  if (rows.length === 0) return <p className="text-base text-muted">{none}</p>;
  const threeWay = rows.some((row) => "theirs" in row);
  return (
    <ul className="flex flex-col gap-2">
      {rows.map((row) => (
        <li key={row.pointer} className={cx("rounded-md border bg-surface", row.conflict ? "border-warn-line" : "border-line")}>
          <div className="flex flex-wrap items-center gap-2 border-b border-line px-3 py-2">
            <code className="min-w-0 flex-1 text-sm break-all">{row.pointer}</code>
            {row.conflict && (
              <Badge tone="warn" dot>
                changed by both
              </Badge>
            )}
            {threeWay && !row.conflict && equal(row.base, row.mine) && <Badge>by them</Badge>}
            <Badge tone={KINDS[row.kind].tone}>{KINDS[row.kind].word}</Badge>
          </div>
          <dl className={cx("grid gap-px", threeWay ? "sm:grid-cols-3" : "sm:grid-cols-2")}>
            <Side name={threeWay ? "Base" : "Now"} sign="−" value={row.base} />
            {threeWay && <Side name="Theirs" sign="±" value={row.theirs} />}
            <Side name={threeWay ? "Mine" : "New"} sign="+" value={row.mine} strong />
          </dl>
        </li>
      ))}
    </ul>
  );
}

function Side({ name, sign, value, strong = false }: { name: string; sign: string; value: Json | undefined; strong?: boolean }) {
  return (
    <div className="flex min-w-0 flex-col gap-1 px-3 py-2">
      <dt className="text-xs text-muted">
        <span aria-hidden="true">{sign} </span>
        {name}
      </dt>
      <dd className={cx("font-mono text-sm wrap-anywhere whitespace-pre-wrap", strong && "font-medium")}>
        {value === undefined ? <span className="font-sans text-muted">not set</span> : shownValue(value)}
      </dd>
    </div>
  );
}
