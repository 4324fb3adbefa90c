import { Banner, Button, diff, DiffView } from "../../ui";

export interface OvertakenProps {
  /** "user", "key": what was changed by both. */
  what: string;
  /** What the edit began with, what stands there now, what was wanted; each with the members that this form edits. */
  base: object;
  theirs: object;
  mine: object;
  /** Said when they changed nothing that this form shows. */
  none: string;
  onTheirs: () => void;
  onMine: () => void;
}

/** Somebody saved first (412): both versions, member by member, and the choice between them. */
export function Overtaken({ what, base, theirs, mine, none, onTheirs, onMine }: OvertakenProps) {
  return (
    <div className="flex flex-col gap-4">
      <Banner tone="warn" title={`Somebody else changed this ${what} meanwhile`}>
        Nothing was saved. See both versions and choose; then save.
      </Banner>
      <DiffView rows={diff(base, mine, theirs)} none={none} />
      <div className="flex flex-wrap gap-2">
        <Button onClick={onTheirs}>Take theirs</Button>
        <Button tone="primary" onClick={onMine}>
          Keep my changes
        </Button>
      </div>
    </div>
  );
}
