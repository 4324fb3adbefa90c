/**
 * Options of models as the API describes them: JSON Schema with `x-order`, `x-label`, `x-help`, `x-advanced`,
 * `x-excludes`, `x-multiplies`. No option is written in code.
 */
export type OptionValue = string | number | boolean;

export interface ModelOption {
  name: string;
  label: string;
  help: string | undefined;
  kind: "choice" | "number" | "flag" | "text";
  choices: readonly string[];
  minimum: number | undefined;
  maximum: number | undefined;
  maxLength: number | undefined;
  /** What the provider takes when nothing is sent. */
  standard: OptionValue | undefined;
  advanced: boolean;
  excludes: readonly string[];
  /** A larger value costs as many times more. */
  multiplies: boolean;
  order: number;
}

export interface Model {
  /** `provider/model`. */
  id: string;
  provider: string;
  model: string;
  label: string;
  available: boolean;
  /** Usual time, where it is known. */
  medianMs: number | undefined;
  /** The most characters of a prompt; `undefined` for no limit of its own. */
  promptMax: number | undefined;
  /** The provider's own first choice. */
  standard: boolean;
  options: readonly ModelOption[];
}

type Json = Readonly<Record<string, unknown>>;

/** The answer of `GET /v1/models` as the form needs it. */
export function modelsOf(list: readonly { id: string; switchyard: unknown }[]): Model[] {
  return list.map(({ id, switchyard }) => {
    const facts = record(switchyard);
    const slash = id.indexOf("/");
    const median = facts["median_ms"];
    return {
      id,
      provider: slash < 0 ? "" : id.slice(0, slash),
      model: id.slice(slash + 1),
      label: text(facts["label"]) ?? id.slice(slash + 1),
      available: facts["available"] !== false,
      medianMs: typeof median === "number" && median > 0 ? median : undefined,
      promptMax: number(facts["max_prompt_chars"]),
      standard: facts["default"] === true,
      options: optionsOf(facts["options"]),
    };
  });
}

export function optionsOf(schema: unknown): ModelOption[] {
  return Object.entries(record(record(schema)["properties"]))
    .flatMap(([name, field]) => optionOf(name, record(field)))
    .sort((a, b) => a.order - b.order);
}

/** An option of a kind that the form cannot draw is left out: it still works by the API. */
function optionOf(name: string, field: Json): ModelOption[] {
  const choices = strings(field["enum"]);
  const kind = kindOf(field["type"], choices);
  if (kind === null) return [];
  const standard = field["default"];
  return [
    {
      name,
      label: text(field["x-label"]) ?? name,
      help: text(field["x-help"]),
      kind,
      choices,
      minimum: number(field["minimum"]),
      maximum: number(field["maximum"]),
      maxLength: number(field["maxLength"]),
      standard: typeof standard === "string" || typeof standard === "number" || typeof standard === "boolean" ? standard : undefined,
      advanced: field["x-advanced"] === true,
      excludes: strings(field["x-excludes"]),
      multiplies: field["x-multiplies"] !== undefined,
      order: number(field["x-order"]) ?? Number.MAX_SAFE_INTEGER,
    },
  ];
}

function kindOf(type: unknown, choices: readonly string[]): ModelOption["kind"] | null {
  if (type === "string") return choices.length > 0 ? "choice" : "text";
  if (type === "integer" || type === "number") return "number";
  return type === "boolean" ? "flag" : null;
}

/** What every one of the models takes: the options while the platform chooses. */
export function commonOptions(models: readonly Model[]): ModelOption[] {
  const [first, ...rest] = models;
  if (first === undefined) return [];
  return first.options.flatMap((option) => {
    const same = rest.map((model) => model.options.find((other) => other.name === option.name && other.kind === option.kind));
    if (same.includes(undefined)) return [];
    const all = [option, ...same.filter((other) => other !== undefined)];
    const choices = option.choices.filter((choice) => all.every((other) => other.choices.includes(choice)));
    if (option.kind === "choice" && choices.length === 0) return [];
    const standard = all.every((other) => other.standard === option.standard) ? option.standard : undefined;
    return [
      {
        ...option,
        choices,
        standard,
        minimum: extreme(all.map((other) => other.minimum), Math.max),
        maximum: extreme(all.map((other) => other.maximum), Math.min),
        maxLength: extreme(all.map((other) => other.maxLength), Math.min),
      },
    ];
  });
}

function extreme(values: readonly (number | undefined)[], pick: (...values: number[]) => number): number | undefined {
  const set = values.filter((value) => value !== undefined);
  return set.length === 0 ? undefined : pick(...set);
}

export type OptionValues = Readonly<Record<string, OptionValue>>;

/** Which chosen option forbids this one, if any. */
export function excludedBy(option: ModelOption, options: readonly ModelOption[], values: OptionValues): ModelOption | undefined {
  return options.find(
    (other) =>
      other.name !== option.name &&
      values[other.name] !== undefined &&
      values[option.name] === undefined &&
      (other.excludes.includes(option.name) || option.excludes.includes(other.name)),
  );
}

/** The values that the model takes, and the names of those that it lacks; the form keeps them all. */
export function split(options: readonly ModelOption[], values: OptionValues): { sent: Record<string, OptionValue>; lacking: string[] } {
  const sent: Record<string, OptionValue> = {};
  const lacking: string[] = [];
  for (const [name, value] of Object.entries(values)) {
    const option = options.find((candidate) => candidate.name === name);
    const fits = option !== undefined && (option.kind !== "choice" || option.choices.includes(String(value)));
    if (fits) sent[name] = value;
    else lacking.push(name);
  }
  return { sent, lacking };
}

function record(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function number(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}
