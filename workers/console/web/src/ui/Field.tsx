import { createContext, type ReactNode, use, useId } from "react";
import { cx } from "./cx";
import { Icon } from "./icons";

interface FieldContext {
  id: string;
  describedBy: string | undefined;
  invalid: boolean;
  required: boolean;
}

const Context = createContext<FieldContext | null>(null);

export interface FieldProps {
  label: string;
  /** Below the label, before the control. */
  help?: ReactNode;
  /** The rule that the value breaks, in words. */
  error?: string | undefined;
  required?: boolean;
  /** The label is read, not shown. */
  hideLabel?: boolean;
  /** Beside the label, at the end: a counter, a link. */
  aside?: ReactNode;
  className?: string;
  /** One control that calls `useField`. */
  children: ReactNode;
}

export function Field(props: FieldProps) {
  const { label, help, error, required = false, hideLabel = false, aside, className, children } = props;
  const id = useId();
  const helpId = help === undefined ? undefined : `${id}-help`;
  const errorId = error === undefined ? undefined : `${id}-error`;
  const describedBy = [helpId, errorId].filter(Boolean).join(" ") || undefined;
  return (
    <Context value={{ id, describedBy, invalid: error !== undefined, required }}>
      <div className={cx("flex min-w-0 flex-col gap-1.5", className)} data-field>
        <div className={cx("flex items-baseline justify-between gap-3", hideLabel && "sr-only")}>
          <label htmlFor={id} id={`${id}-label`} className="text-sm font-medium">
            {label}
            {required && <span className="sr-only"> (required)</span>}
          </label>
          {aside !== undefined && <span className="text-xs text-muted">{aside}</span>}
        </div>
        {help !== undefined && (
          <p id={helpId} className="-mt-1 text-sm text-muted">
            {help}
          </p>
        )}
        {children}
        {error !== undefined && (
          <p id={errorId} className="flex items-start gap-1.5 text-sm text-bad">
            <Icon name="warningCircle" size={15} className="mt-0.5" />
            <span>{error}</span>
          </p>
        )}
      </div>
    </Context>
  );
}

/** Attributes of the control inside a `Field`. */
export function useField(): {
  id?: string;
  "aria-describedby"?: string;
  "aria-invalid"?: true;
  "aria-required"?: true;
} {
  const field = use(Context);
  if (field === null) return {};
  return {
    id: field.id,
    ...(field.describedBy === undefined ? {} : { "aria-describedby": field.describedBy }),
    ...(field.invalid ? { "aria-invalid": true as const } : {}),
    ...(field.required ? { "aria-required": true as const } : {}),
  };
}

/** Moves the focus to the first control with an error; called after a refused submit. */
export function focusFirstError(form: HTMLElement | null): void {
  // The errors are in the document only after React has drawn them.
  requestAnimationFrame(() => form?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus());
}

export const CONTROL =
  "w-full min-w-0 rounded-md border border-control bg-surface px-3 text-base text-text shadow-1 transition-colors " +
  "hover:border-muted disabled:bg-sunken disabled:text-muted disabled:shadow-none [&[readonly]]:bg-sunken " +
  "focus-visible:outline-2 focus-visible:outline-offset-0 focus-visible:outline-focus " +
  "aria-invalid:border-bad aria-invalid:focus-visible:outline-bad";
