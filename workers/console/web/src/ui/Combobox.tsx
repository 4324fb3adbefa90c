import { Combobox as Base } from "@base-ui/react/combobox";
import type { ReactNode } from "react";
import { cx } from "./cx";
import { CONTROL, useField } from "./Field";
import { Icon } from "./icons";
import type { Option } from "./inputs";

/*
 * The field to type in is inside the list. Outside of it, the library hides the rest of the page from screen readers
 * while the list is open, the field's own label included.
 */

interface Common<Value extends string> {
  options: readonly Option<Value>[];
  placeholder?: string;
  disabled?: boolean;
}

export interface ComboboxProps<Value extends string> extends Common<Value> {
  value: Value | null;
  onValue: (value: Value | null) => void;
}

/** One of many, found by typing. */
export function Combobox<Value extends string>(props: ComboboxProps<Value>) {
  const { value, onValue, options, placeholder = "Choose", disabled = false } = props;
  const selected: Option<Value> | null = options.find((option) => option.value === value) ?? null;
  return (
    <Base.Root<Option<Value>>
      items={options}
      value={selected}
      onValueChange={(option) => onValue(option?.value ?? null)}
      isItemEqualToValue={sameValue}
      disabled={disabled}
    >
      <Trigger empty={selected === null}>
        {/* One line beside the other filters; the whole of a long address is in the list and in its title. */}
        <span className="truncate" title={selected?.label}>
          {selected?.label ?? placeholder}
        </span>
      </Trigger>
      <List />
    </Base.Root>
  );
}

export interface MultiSelectProps<Value extends string> extends Common<Value> {
  value: readonly Value[];
  onValue: (value: Value[]) => void;
}

/** Several of many; the field names the chosen ones. */
export function MultiSelect<Value extends string>(props: MultiSelectProps<Value>) {
  const { value, onValue, options, placeholder = "Choose", disabled = false } = props;
  const selected = value.map((id): Option<Value> => options.find((option) => option.value === id) ?? { value: id, label: id });
  return (
    <Base.Root<Option<Value>, true>
      multiple
      items={options}
      value={selected}
      onValueChange={(chosen) => onValue(chosen.map((option) => option.value))}
      isItemEqualToValue={sameValue}
      disabled={disabled}
    >
      <Trigger empty={selected.length === 0}>
        {selected.length === 0
          ? placeholder
          : selected.map((option) => (
              <span key={option.value} className="rounded-sm border border-line bg-sunken px-1.5 text-sm">
                {option.label}
              </span>
            ))}
      </Trigger>
      <List />
    </Base.Root>
  );
}

function Trigger({ empty, children }: { empty: boolean; children: ReactNode }) {
  const { id, ...field } = useField();
  return (
    <Base.Trigger
      {...field}
      {...(id === undefined ? {} : { id, "aria-labelledby": `${id}-label ${id}` })}
      className={cx(CONTROL, "flex min-h-9 items-center gap-2 py-1 text-left")}
    >
      <span className={cx("flex min-w-0 flex-1 flex-wrap gap-1", empty && "text-faint")}>{children}</span>
      <Icon name="caretUpDown" size={14} className="text-muted" />
    </Base.Trigger>
  );
}

function List() {
  return (
    <Base.Portal>
      <Base.Positioner sideOffset={4} className="z-60 outline-none">
        <Base.Popup
          aria-label="Choose"
          className="flex max-h-[min(var(--available-height),20rem)] w-[max(var(--anchor-width),14rem)] flex-col rounded-lg border border-line bg-raised text-text shadow-2 outline-none"
        >
          <div className="relative border-b border-line">
            <Icon name="magnifyingGlass" size={15} className="pointer-events-none absolute top-2.75 left-3 text-faint" />
            <Base.Input
              aria-label="Search the list"
              placeholder="Search"
              className="h-9 w-full rounded-t-lg bg-transparent pr-3 pl-9 text-base -outline-offset-2"
            />
          </div>
          <Base.Empty>
            <span className="block px-3 py-2.5 text-sm text-muted">Nothing found.</span>
          </Base.Empty>
          <Base.List className="min-h-0 flex-1 overflow-y-auto p-1 empty:p-0">
            {(option: Option) => (
              <Base.Item
                key={option.value}
                value={option}
                disabled={option.disabled ?? false}
                className="flex min-h-8 cursor-default items-center gap-2 rounded-md px-2.5 py-1 text-base outline-none select-none data-disabled:text-muted data-highlighted:bg-hover"
              >
                <span className="min-w-0 flex-1">{option.label}</span>
                <Base.ItemIndicator>
                  <Icon name="check" size={14} className="text-link" />
                </Base.ItemIndicator>
              </Base.Item>
            )}
          </Base.List>
        </Base.Popup>
      </Base.Positioner>
    </Base.Portal>
  );
}

function sameValue(a: Option, b: Option): boolean {
  return a.value === b.value;
}
