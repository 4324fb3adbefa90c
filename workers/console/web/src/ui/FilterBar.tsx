import type { ReactNode } from "react";
import { Button, IconButton } from "./Button";
import { SearchInput } from "./inputs";
import { toast } from "./Toast";

export interface FilterBarProps {
  /** The search text, from the URL; without it there is no search field. */
  search?: { value: string; onValue: (value: string) => void; label: string; placeholder?: string };
  /** `<Select>`s in `<Field hideLabel>`s. */
  children?: ReactNode;
  /** Whether something is filtered; shows "Clear filters". */
  active?: boolean;
  onClear?: () => void;
  /** At the end: the page's main action. */
  actions?: ReactNode;
}

export function FilterBar({ search, children, active = false, onClear, actions }: FilterBarProps) {
  return (
    <div role="search" className="flex flex-wrap items-end gap-2 [&>label]:min-h-9 [&>label]:items-center [&>label]:px-1">
      {search !== undefined && (
        <SearchInput
          aria-label={search.label}
          placeholder={search.placeholder ?? search.label}
          value={search.value}
          onValue={search.onValue}
        />
      )}
      {children}
      {active && onClear !== undefined && (
        <div className="flex items-center gap-2">
          <Button tone="ghost" icon="x" onClick={onClear}>
            Clear filters
          </Button>
          <CopyLink />
        </div>
      )}
      {actions !== undefined && <div className="ml-auto flex flex-wrap items-center gap-2">{actions}</div>}
    </div>
  );
}

/** The filter is in the address, so the address is the view. */
function CopyLink() {
  const copy = () =>
    void navigator.clipboard.writeText(location.href).then(
      () => toast({ tone: "good", title: "Link copied" }),
      () => toast({ tone: "bad", title: "The browser refused to copy", text: "Copy the address from the address bar." }),
    );
  return <IconButton icon="link" label="Copy link to this view" onClick={copy} />;
}
