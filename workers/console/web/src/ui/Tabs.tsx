import { Tabs as Base } from "@base-ui/react/tabs";
import { type ReactNode, useEffect, useRef } from "react";

export interface TabsProps<Id extends string> {
  /** Read from the URL. */
  value: Id;
  /** Writes the URL. */
  onValue: (id: Id) => void;
  tabs: readonly { id: Id; label: string; count?: number | undefined }[];
  /** The shown tab's content. */
  children: ReactNode;
  label: string;
}

export function Tabs<Id extends string>({ value, onValue, tabs, children, label }: TabsProps<Id>) {
  const list = useRef<HTMLDivElement>(null);
  // In a narrow window the strip scrolls; what is shown is not left out of sight.
  useEffect(() => {
    const box = list.current;
    const shown = box?.querySelector<HTMLElement>("[aria-selected=true]");
    if (box && shown) box.scrollLeft = shown.offsetLeft - (box.clientWidth - shown.offsetWidth) / 2;
  }, [value]);
  return (
    <Base.Root value={value} onValueChange={(next) => onValue(next as Id)} className="flex min-w-0 flex-col gap-5">
      <Base.List ref={list} aria-label={label} className="relative flex gap-1 overflow-x-auto border-b border-line">
        {tabs.map((tab) => (
          <Base.Tab
            key={tab.id}
            value={tab.id}
            className="-mb-px inline-flex h-10 shrink-0 items-center gap-2 border-b-2 border-transparent px-3 text-base font-medium text-muted -outline-offset-2 hover:text-text data-active:border-accent data-active:text-text"
          >
            {tab.label}
            {tab.count !== undefined && (
              <span className="rounded-full bg-sunken px-1.5 text-xs text-muted tabular-nums">{tab.count}</span>
            )}
          </Base.Tab>
        ))}
      </Base.List>
      <Base.Panel value={value} className="min-w-0">
        {children}
      </Base.Panel>
    </Base.Root>
  );
}
