import { Checkbox } from "../../ui";
import { SCOPES } from "./model";
import type { Scope } from "./types";

interface ScopePickerProps {
  value: readonly Scope[];
  onValue: (scopes: Scope[]) => void;
  /** Those that can be had, in order. */
  offered: readonly Scope[];
  /** Those that the caller may give; the others are shown, and why not. */
  grantable: readonly Scope[];
  error?: string | undefined;
  legend?: string;
}

export function ScopePicker({ value, onValue, offered, grantable, error, legend = "Scopes" }: ScopePickerProps) {
  return (
    <fieldset className="min-w-0" aria-invalid={error === undefined ? undefined : true} aria-describedby={error === undefined ? undefined : "scopes-error"} tabIndex={error === undefined ? undefined : -1}>
      <legend className="mb-1.5 text-sm font-medium">{legend}</legend>
      <div className="grid gap-x-4 gap-y-2 rounded-md border border-line p-3 sm:grid-cols-2">
        {SCOPES.filter(({ scope }) => offered.includes(scope)).map(({ scope, allows }) => {
          const can = grantable.includes(scope);
          return (
            <Checkbox
              key={scope}
              label={<code className="text-sm">{scope}</code>}
              help={can ? allows : "Your own key lacks it"}
              checked={value.includes(scope)}
              disabled={!can}
              onChecked={(on) => onValue(on ? [...value, scope] : value.filter((one) => one !== scope))}
            />
          );
        })}
      </div>
      {error !== undefined && (
        <p id="scopes-error" className="mt-1.5 text-sm text-bad">
          {error}
        </p>
      )}
    </fieldset>
  );
}
