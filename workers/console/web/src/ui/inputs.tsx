import { type ComponentPropsWithRef, type ReactNode, useState } from "react";
import { cx } from "./cx";
import { CONTROL, useField } from "./Field";
import { Icon } from "./icons";

export interface TextInputProps extends Omit<ComponentPropsWithRef<"input">, "value" | "onChange" | "size"> {
  value: string;
  onValue: (value: string) => void;
  /** Monospace: ids, codes, addresses. */
  mono?: boolean;
}

export function TextInput({ value, onValue, mono = false, className, ...rest }: TextInputProps) {
  return (
    <input
      autoComplete="off"
      spellCheck={false}
      {...useField()}
      {...rest}
      value={value}
      onChange={(event) => onValue(event.target.value)}
      className={cx(CONTROL, "h-9", mono && "font-mono text-sm", className)}
    />
  );
}

export function SearchInput(props: Omit<TextInputProps, "type">) {
  return (
    <span className="relative block w-full sm:w-64">
      <Icon name="magnifyingGlass" className="pointer-events-none absolute top-2.5 left-2.5 text-faint" />
      <TextInput {...props} type="search" data-search className="pl-8" />
    </span>
  );
}

export interface TextAreaProps extends Omit<ComponentPropsWithRef<"textarea">, "value" | "onChange"> {
  value: string;
  onValue: (value: string) => void;
  mono?: boolean;
}

export function TextArea({ value, onValue, mono = false, className, rows = 4, ...rest }: TextAreaProps) {
  return (
    <textarea
      {...useField()}
      {...rest}
      rows={rows}
      value={value}
      onChange={(event) => onValue(event.target.value)}
      className={cx(CONTROL, "resize-y py-2 leading-normal", mono && "font-mono text-sm", className)}
    />
  );
}

export interface NumberInputProps extends Omit<ComponentPropsWithRef<"input">, "value" | "onChange" | "min" | "max"> {
  /** `null` when the field is empty, `NaN` when what it holds is no number: no rule may take that for empty. */
  value: number | null;
  onValue: (value: number | null) => void;
  min?: number;
  max?: number;
  /** Shown at the end, inside: "per minute", "USD". */
  unit?: string;
}

/** Keeps what is typed ("1.", "-") until it is a number; a wheel over it changes nothing. */
export function NumberInput({ value, onValue, unit, className, step = "any", ...rest }: NumberInputProps) {
  const [text, setText] = useState(value === null ? "" : String(value));
  const shown = toNumber(text) === value ? text : value === null || Number.isNaN(value) ? "" : String(value);
  return (
    <span className="relative block w-full">
      <input
        autoComplete="off"
        {...useField()}
        {...rest}
        type="number"
        step={step}
        value={shown}
        onWheel={(event) => event.currentTarget.blur()}
        onChange={(event) => {
          setText(event.target.value);
          onValue(typedNumber(event.target));
        }}
        className={cx(CONTROL, "h-9 tabular-nums", unit !== undefined && "pr-24", className)}
      />
      {unit !== undefined && (
        <span className="pointer-events-none absolute inset-y-0 right-3 flex items-center text-sm text-muted">{unit}</span>
      )}
    </span>
  );
}

/** The browser gives a text that it cannot read ("5e") as an empty one, and says so only here. */
export function typedNumber({ value, validity }: { value: string; validity: Pick<ValidityState, "badInput"> }): number | null {
  return validity.badInput ? Number.NaN : toNumber(value);
}

function toNumber(text: string): number | null {
  const parsed = text.trim() === "" ? Number.NaN : Number(text);
  return Number.isFinite(parsed) ? parsed : null;
}

export interface Option<Value extends string = string> {
  value: Value;
  label: string;
  disabled?: boolean;
}

export interface SelectProps<Value extends string> extends Omit<ComponentPropsWithRef<"select">, "value" | "onChange"> {
  value: Value;
  onValue: (value: Value) => void;
  options: readonly (Option<Value> | { group: string; options: readonly Option<Value>[] })[];
}

/** The platform's own list: works with every keyboard, screen reader and phone. */
export function Select<Value extends string>({ value, onValue, options, className, ...rest }: SelectProps<Value>) {
  const drawn = (option: Option<Value>) => (
    <option key={option.value} value={option.value} disabled={option.disabled}>
      {option.label}
    </option>
  );
  return (
    <span className="relative block w-full min-w-0">
      <select
        {...useField()}
        {...rest}
        value={value}
        onChange={(event) => onValue(event.target.value as Value)}
        className={cx(CONTROL, "h-9 appearance-none truncate pr-8", className)}
      >
        {options.map((option) =>
          "group" in option ? (
            <optgroup key={option.group} label={option.group}>
              {option.options.map(drawn)}
            </optgroup>
          ) : (
            drawn(option)
          ),
        )}
      </select>
      <Icon name="caretDown" size={14} className="pointer-events-none absolute top-2.75 right-2.5 text-muted" />
    </span>
  );
}

interface CheckProps extends Omit<ComponentPropsWithRef<"input">, "checked" | "onChange" | "type"> {
  checked: boolean;
  onChecked: (checked: boolean) => void;
  label: ReactNode;
  help?: ReactNode;
  hideLabel?: boolean;
}

export function Checkbox({ checked, onChecked, label, help, hideLabel = false, className, ...rest }: CheckProps) {
  return (
    <label className={cx("flex min-h-6 items-start gap-2.5", className)}>
      <span className="relative mt-0.5 inline-flex size-4.5 shrink-0">
        <input
          {...rest}
          type="checkbox"
          checked={checked}
          onChange={(event) => onChecked(event.target.checked)}
          className="peer size-4.5 appearance-none rounded-sm border border-control bg-surface checked:border-accent checked:bg-accent disabled:opacity-55"
        />
        <Icon name="check" size={14} className="pointer-events-none absolute top-0.5 left-0.5 hidden text-on-accent peer-checked:block" />
      </span>
      <span className={cx("flex flex-col", hideLabel && "sr-only")}>
        <span className="text-base">{label}</span>
        {help !== undefined && <span className="text-sm text-muted">{help}</span>}
      </span>
    </label>
  );
}

/** On or off at once, without a submit. */
export function Switch({ checked, onChecked, label, help, className, ...rest }: Omit<CheckProps, "hideLabel">) {
  return (
    <label className={cx("flex min-h-6 items-start gap-2.5", className)}>
      <span className="relative mt-0.5 inline-flex h-5 w-9 shrink-0">
        <input
          {...rest}
          type="checkbox"
          role="switch"
          checked={checked}
          onChange={(event) => onChecked(event.target.checked)}
          className="peer h-5 w-9 appearance-none rounded-full border border-control bg-sunken transition-colors checked:border-accent checked:bg-accent disabled:opacity-55"
        />
        <span className="pointer-events-none absolute top-1 left-1 size-3 rounded-full bg-control transition-transform peer-checked:translate-x-4 peer-checked:bg-on-accent" />
      </span>
      <span className="flex flex-col">
        <span className="text-base">{label}</span>
        {help !== undefined && <span className="text-sm text-muted">{help}</span>}
      </span>
    </label>
  );
}

export interface RadioGroupProps<Value extends string> {
  legend: string;
  value: Value;
  onValue: (value: Value) => void;
  options: readonly (Option<Value> & { help?: ReactNode })[];
  name: string;
  hideLegend?: boolean;
  /** Beside each other, as one bar. */
  segmented?: boolean;
}

export function RadioGroup<Value extends string>(props: RadioGroupProps<Value>) {
  const { legend, value, onValue, options, name, hideLegend = false, segmented = false } = props;
  return (
    <fieldset className="min-w-0">
      <legend className={hideLegend ? "sr-only" : "mb-1.5 text-sm font-medium"}>{legend}</legend>
      <div className={segmented ? "flex w-full rounded-md border border-line bg-sunken p-0.5" : "flex flex-col gap-2"}>
        {options.map((option) => (
          <label
            key={option.value}
            className={
              segmented
                ? "relative flex h-8 flex-1 items-center justify-center rounded-sm px-2.5 text-sm text-muted has-checked:bg-surface has-checked:font-medium has-checked:text-text has-checked:shadow-1 has-focus-visible:outline-2 has-focus-visible:outline-focus"
                : "flex min-h-6 items-start gap-2.5"
            }
          >
            <input
              type="radio"
              name={name}
              value={option.value}
              checked={value === option.value}
              disabled={option.disabled}
              onChange={() => onValue(option.value)}
              className={
                segmented
                  ? "absolute inset-0 appearance-none rounded-sm outline-none"
                  : "mt-0.5 size-4.5 shrink-0 appearance-none rounded-full border border-control bg-surface checked:border-5 checked:border-accent"
              }
            />
            <span className={segmented ? "" : "flex flex-col"}>
              {option.label}
              {!segmented && option.help !== undefined && <span className="text-sm text-muted">{option.help}</span>}
            </span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}
