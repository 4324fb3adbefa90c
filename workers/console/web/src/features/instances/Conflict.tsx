import { useState } from "react";
import { useOfflineReason } from "../../api/connection_hooks";
import type { ApiError } from "../../api/errors";
import { Badge, Button, cx, Dialog, diff, type DiffRow, ErrorState, type Json, RadioGroup, shownValue } from "../../ui";
import { type Doc, isMine, merged } from "./model";

export interface Versions {
  /** What I began with. */
  base: Doc;
  /** What stands there now. */
  theirs: Doc;
  mine: Doc;
  /** The version of `theirs`. */
  version: number;
}

export interface ConflictProps {
  versions: Versions;
  /** "instance", "limit": what was changed by both. */
  what: string;
  busy: boolean;
  error: ApiError | null;
  /** Saves mine on theirs. */
  onApply: (document: Doc, version: number) => void;
  /** Forgets mine. */
  onTakeTheirs: () => void;
  /** Goes on editing, with theirs below. */
  onEdit?: (document: Doc) => void;
  onClose: () => void;
}

/** Somebody saved first: what both began with, what stands there now, what I wanted; and the way on. */
export function Conflict({ versions, what, busy, error, onApply, onTakeTheirs, onEdit, onClose }: ConflictProps) {
  const { base, theirs, mine, version } = versions;
  const offline = useOfflineReason();
  const [keepTheirs, setKeepTheirs] = useState<ReadonlySet<string>>(new Set());
  const rows = diff(base, mine, theirs);
  const conflicts = rows.filter((row) => row.conflict).length;
  const result = merged(base, theirs, mine, keepTheirs);
  const choose = (pointer: string, side: "mine" | "theirs") => {
    const next = new Set(keepTheirs);
    if (side === "theirs") next.add(pointer);
    else next.delete(pointer);
    setKeepTheirs(next);
  };
  return (
    <Dialog
      open
      size="lg"
      onClose={onClose}
      title={`Somebody else changed this ${what}`}
      description={
        conflicts === 0
          ? `Version ${version} was saved while you were editing. It touches other members than yours, so both can stand.`
          : `Version ${version} was saved while you were editing. ${conflicts === 1 ? "One member was" : `${conflicts} members were`} changed by both: choose which value stands.`
      }
      footer={
        <>
          <Button onClick={onTakeTheirs}>Discard mine</Button>
          {onEdit !== undefined && <Button onClick={() => onEdit(result)}>Edit further</Button>}
          <Button tone="primary" busy={busy} reason={offline} onClick={() => onApply(result, version)}>
            Apply mine on theirs
          </Button>
        </>
      }
    >
      <div className="flex flex-col gap-3">
        {error !== null && error.status !== 412 && <ErrorState compact error={error} />}
        {rows.length === 0 && <p className="text-muted">Both versions say the same. Nothing is left to save.</p>}
        <ul className="flex flex-col gap-2">
          {rows.map((row) => (
            <Row key={row.pointer} row={row} side={keepTheirs.has(row.pointer) ? "theirs" : "mine"} onSide={(side) => choose(row.pointer, side)} />
          ))}
        </ul>
      </div>
    </Dialog>
  );
}

function Row({ row, side, onSide }: { row: DiffRow; side: "mine" | "theirs"; onSide: (side: "mine" | "theirs") => void }) {
  const mine = isMine(row);
  const wins = mine && side === "mine" ? "mine" : "theirs";
  return (
    <li className={cx("rounded-md border bg-surface", row.conflict ? "border-warn-line" : "border-line")}>
      <div className="flex flex-wrap items-center gap-2 border-b border-line px-3 py-2">
        <code className="min-w-0 flex-1 text-sm break-all">{row.pointer}</code>
        <Badge tone={row.conflict ? "warn" : "neutral"} dot={row.conflict}>
          {row.conflict ? "changed by both" : mine ? "changed by you" : "changed by them"}
        </Badge>
      </div>
      <dl className="grid sm:grid-cols-3">
        <Side name="Base" value={row.base} />
        <Side name="Theirs" value={row.theirs} stands={wins === "theirs"} />
        <Side name="Mine" value={row.mine} stands={wins === "mine"} />
      </dl>
      {row.conflict && (
        <div className="border-t border-line px-3 py-2">
          <div className="sm:max-w-xs">
          <RadioGroup
            segmented
            hideLegend
            legend={`Which value of ${row.pointer} stands`}
            name={`side-${row.pointer}`}
            value={side}
            onValue={onSide}
            options={[{ value: "theirs", label: "Keep theirs" }, { value: "mine", label: "Use mine" }]}
          />
          </div>
        </div>
      )}
    </li>
  );
}

function Side({ name, value, stands = false }: { name: string; value: Json | undefined; stands?: boolean }) {
  return (
    <div className="flex min-w-0 flex-col gap-1 px-3 py-2">
      <dt className="text-xs text-muted">{stands ? `${name} · will stand` : name}</dt>
      <dd className={cx("font-mono text-sm wrap-anywhere whitespace-pre-wrap", stands && "font-medium")}>
        {value === undefined ? <span className="font-sans text-muted">not set</span> : shownValue(value)}
      </dd>
    </div>
  );
}
