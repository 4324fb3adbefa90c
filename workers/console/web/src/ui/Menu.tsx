import { Menu as Base } from "@base-ui/react/menu";
import type { ReactElement, ReactNode } from "react";
import { cx } from "./cx";
import { Icon, type IconName } from "./icons";

export interface MenuAction {
  label: string;
  onSelect: () => void;
  icon?: IconName;
  danger?: boolean;
  /** Why it cannot be used now; shown below the label. */
  reason?: string | undefined;
  /** A mark before the label: one of several is chosen. */
  checked?: boolean;
}

/** `null` draws a line. */
export type MenuEntry = MenuAction | null;

const ITEM =
  "flex min-h-8 w-full cursor-default items-center gap-2.5 rounded-md px-2.5 py-1 text-base outline-none select-none data-highlighted:bg-hover";

export interface MenuProps {
  /** The button that opens it. */
  trigger: ReactElement;
  entries: readonly MenuEntry[];
  /** Above the entries: who is signed in. */
  header?: ReactNode;
  align?: "start" | "end";
}

export function Menu({ trigger, entries, header, align = "end" }: MenuProps) {
  return (
    <Base.Root>
      <Base.Trigger render={trigger} />
      <Base.Portal>
        <Base.Positioner sideOffset={6} align={align} className="z-60 outline-none">
          <Base.Popup className="min-w-48 rounded-lg border border-line bg-raised p-1 text-text shadow-2 outline-none">
            {header !== undefined && <div className="mb-1 border-b border-line px-2.5 pt-1.5 pb-2.5 text-sm">{header}</div>}
            {entries.map((entry, at) =>
              entry === null ? (
                <Base.Separator key={`line-${at}`} className="my-1 h-px bg-line" />
              ) : (
                <Entry key={entry.label} {...entry} />
              ),
            )}
          </Base.Popup>
        </Base.Positioner>
      </Base.Portal>
    </Base.Root>
  );
}

function Entry({ label, onSelect, icon, danger = false, reason, checked }: MenuAction) {
  const body = (
    <>
      {icon !== undefined && <Icon name={icon} className={danger ? "text-bad" : "text-muted"} />}
      <span className={cx("flex min-w-0 flex-1 flex-col", danger && "text-bad", reason !== undefined && "text-muted")}>
        {label}
        {reason !== undefined && <span className="max-w-64 text-xs text-muted">{reason}</span>}
      </span>
      {checked === true && <Icon name="check" size={14} className="text-link" />}
    </>
  );
  if (checked === undefined) {
    return (
      <Base.Item className={ITEM} disabled={reason !== undefined} onClick={onSelect}>
        {body}
      </Base.Item>
    );
  }
  return (
    <Base.CheckboxItem className={ITEM} checked={checked} disabled={reason !== undefined} closeOnClick onCheckedChange={onSelect}>
      {body}
    </Base.CheckboxItem>
  );
}
