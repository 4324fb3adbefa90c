import { useState } from "react";
import { Combobox, Field, type Json, NumberInput, Select, Switch, TextArea, TextInput } from "../../ui";
import { type FieldSpec, fromLines, fromText, toLines } from "./fields";

export interface FieldControlProps {
  spec: FieldSpec;
  value: Json | undefined;
  onValue: (value: Json) => void;
  error: string | undefined;
  disabled: boolean;
  /** Names that a provider field offers. */
  providers: readonly string[];
}

/** One member of the configuration with the control that fits it. */
export function FieldControl({ spec, value, onValue, error, disabled, providers }: FieldControlProps) {
  if (spec.kind === "switch") {
    return (
      <div className="flex items-start pt-1 sm:col-span-2" data-pointer={spec.pointer}>
        <Switch checked={value === true} onChecked={onValue} label={spec.label} help={spec.help} disabled={disabled} />
      </div>
    );
  }
  return (
    <Field label={spec.label} help={spec.help} error={error} {...("required" in spec && spec.required ? { required: true } : {})} className={spec.kind === "lines" || spec.kind === "fallback" ? "sm:col-span-2" : ""}>
      <Control spec={spec} value={value} onValue={onValue} disabled={disabled} providers={providers} />
    </Field>
  );
}

function Control({ spec, value, onValue, disabled, providers }: Omit<FieldControlProps, "error">) {
  switch (spec.kind) {
    case "text":
      if (spec.pointer === "/routing/default_provider" && !disabled) {
        return <Combobox value={typeof value === "string" ? value : null} onValue={onValue} options={providers.map((name) => ({ value: name, label: name }))} placeholder="None" />;
      }
      // A name is a text in any case; other members are null when they are empty.
      return (
        <TextInput
          mono={spec.mono ?? false}
          value={typeof value === "string" ? value : ""}
          onValue={(text) => onValue(spec.required === true || spec.pointer.endsWith("/adapter") ? text : fromText(text))}
          disabled={disabled}
        />
      );
    case "number":
      return <NumberInput value={typeof value === "number" ? value : null} onValue={onValue} disabled={disabled} {...(spec.unit === undefined ? {} : { unit: spec.unit })} />;
    case "choice":
      return (
        <Select
          value={typeof value === "string" ? value : ""}
          onValue={(chosen) => onValue(fromText(chosen))}
          disabled={disabled}
          options={[...(spec.nullable === true ? [{ value: "", label: "Not set" }] : []), ...spec.options]}
        />
      );
    case "lines":
      return <Lines value={value} onValue={onValue} disabled={disabled} />;
    case "fallback":
      return <Fallback value={value} onValue={onValue} disabled={disabled} />;
    case "switch":
      return null;
  }
}

interface PlainProps {
  value: Json | undefined;
  onValue: (value: Json) => void;
  disabled: boolean;
}

/** Keeps the text as it is typed, empty last line included, until the value is another list. */
function Lines({ value, onValue, disabled }: PlainProps) {
  const [text, setText] = useState(toLines(value));
  const shown = fromLines(text).join("\n") === toLines(value) ? text : toLines(value);
  return (
    <TextArea
      mono
      rows={3}
      value={shown}
      disabled={disabled}
      onValue={(typed) => {
        setText(typed);
        onValue(fromLines(typed));
      }}
    />
  );
}

function Fallback({ value, onValue, disabled }: PlainProps) {
  const kind = Array.isArray(value) ? "list" : value === "none" ? "none" : "auto";
  return (
    <div className="flex flex-col gap-2">
      <Select
        value={kind}
        disabled={disabled}
        onValue={(chosen) => onValue(chosen === "list" ? [] : chosen)}
        options={[
          { value: "auto", label: "Every other provider that can do it" },
          { value: "none", label: "None: fail at once" },
          { value: "list", label: "This list, in order" },
        ]}
      />
      {kind === "list" && (
        <Field label="Fallback list" help="At most 4 of provider/model, one a line.">
          <Lines value={value} onValue={onValue} disabled={disabled} />
        </Field>
      )}
    </div>
  );
}
