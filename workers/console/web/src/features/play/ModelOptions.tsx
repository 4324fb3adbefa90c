import { Checkbox, Field, NumberInput, Select, TextArea, TextInput } from "../../ui";
import type { ApiError } from "../../api/errors";
import { sentence } from "./model";
import { excludedBy, type ModelOption, type OptionValue, type OptionValues } from "./options";

export interface ModelOptionsProps {
  /** All of the model: what excludes an option may be in the other part. */
  all: readonly ModelOption[];
  shown: readonly ModelOption[];
  values: OptionValues;
  onValues: (values: OptionValues) => void;
  error: ApiError | null;
}

/** The options of the chosen model, as its description lists them. */
export function ModelOptions({ all, shown, values, onValues, error }: ModelOptionsProps) {
  const set = (name: string, value: OptionValue | undefined) => {
    const rest = Object.fromEntries(Object.entries(values).filter(([other]) => other !== name));
    onValues(value === undefined ? rest : { ...rest, [name]: value });
  };
  return shown.map((option) => {
    const blocker = excludedBy(option, all, values);
    const help = blocker === undefined ? option.help : `Not together with ${blocker.label}.`;
    if (option.kind === "flag") {
      return (
        <Checkbox
          key={option.name}
          className="col-span-full"
          checked={values[option.name] === true}
          onChecked={(on) => set(option.name, on ? true : undefined)}
          label={option.label}
          help={help}
          disabled={blocker !== undefined}
        />
      );
    }
    return (
      <Field
        key={option.name}
        label={option.label}
        help={help}
        error={Number.isNaN(values[option.name]) ? "Enter a number." : error?.fieldError(`/${option.name}`)}
        {...(option.multiplies ? { aside: "each is paid for" } : {})}
        {...(option.kind === "text" ? { className: "col-span-full" } : {})}
      >
        <Control option={option} value={values[option.name]} onValue={(value) => set(option.name, value)} disabled={blocker !== undefined} />
      </Field>
    );
  });
}

interface ControlProps {
  option: ModelOption;
  value: OptionValue | undefined;
  onValue: (value: OptionValue | undefined) => void;
  disabled: boolean;
}

function Control({ option, value, onValue, disabled }: ControlProps) {
  const standard = option.standard === undefined ? "Default" : `Default (${String(option.standard)})`;
  if (option.kind === "choice") {
    return (
      <Select
        value={value === undefined ? "" : String(value)}
        onValue={(chosen) => onValue(chosen === "" ? undefined : chosen)}
        disabled={disabled}
        options={[{ value: "", label: standard }, ...option.choices.map((choice) => ({ value: choice, label: sentence(choice) }))]}
      />
    );
  }
  if (option.kind === "number") {
    return (
      <NumberInput
        value={typeof value === "number" ? value : null}
        onValue={(number) => onValue(number ?? undefined)}
        disabled={disabled}
        step={1}
        placeholder={option.standard === undefined ? "" : String(option.standard)}
        {...(option.minimum === undefined ? {} : { min: option.minimum })}
        {...(option.maximum === undefined ? {} : { max: option.maximum })}
      />
    );
  }
  const text = typeof value === "string" ? value : "";
  const write = (typed: string) => onValue(typed === "" ? undefined : typed);
  const most = option.maxLength === undefined ? {} : { maxLength: option.maxLength };
  return (option.maxLength ?? 0) > 200 ? (
    <TextArea rows={2} value={text} onValue={write} disabled={disabled} {...most} />
  ) : (
    <TextInput value={text} onValue={write} disabled={disabled} {...most} />
  );
}
