import { describe, expect, it } from "vitest";
import { commonOptions, excludedBy, modelsOf, optionsOf, split } from "./options";

const schema = {
  type: "object",
  properties: {
    seed: { type: "integer", minimum: 1, maximum: 9, "x-label": "Seed", "x-advanced": true, "x-order": 3 },
    size: { type: "string", enum: ["1x1", "2x2"], default: "1x1", "x-label": "Size", "x-excludes": ["aspect_ratio"], "x-order": 1 },
    aspect_ratio: { type: "string", enum: ["1:1", "16:9"], "x-label": "Aspect ratio", "x-order": 2 },
    enhance: { type: "boolean", "x-order": 4 },
    negative: { type: "string", maxLength: 500, "x-order": 5 },
    strange: { type: "object" },
  },
};

describe("options of a model", () => {
  const options = optionsOf(schema);

  it("are read in their order, with kind and range; what cannot be drawn is left out", () => {
    expect(options.map(({ name, kind }) => [name, kind])).toEqual([
      ["size", "choice"],
      ["aspect_ratio", "choice"],
      ["seed", "number"],
      ["enhance", "flag"],
      ["negative", "text"],
    ]);
    expect(options[2]).toMatchObject({ label: "Seed", minimum: 1, maximum: 9, advanced: true, standard: undefined });
    expect(options[0]?.standard).toBe("1x1");
    expect(optionsOf(null)).toEqual([]);
  });

  it("exclude each other in both directions, once one is set", () => {
    const [size, ratio] = options;
    if (size === undefined || ratio === undefined) throw new Error("two options");
    expect(excludedBy(ratio, options, { size: "1x1" })?.name).toBe("size");
    expect(excludedBy(size, options, { aspect_ratio: "1:1" })?.name).toBe("aspect_ratio");
    expect(excludedBy(size, options, { size: "1x1" })).toBeUndefined();
    expect(excludedBy(ratio, options, {})).toBeUndefined();
  });

  it("keep values that the model lacks, and do not send them", () => {
    expect(split(options, { size: "1x1", seed: 3, style: "flat", aspect_ratio: "9:9" })).toEqual({
      sent: { size: "1x1", seed: 3 },
      lacking: ["style", "aspect_ratio"],
    });
  });
});

describe("models", () => {
  const models = modelsOf([
    { id: "a/one", switchyard: { label: "One", median_ms: 4000, default: true, options: schema } },
    {
      id: "b/two/v2",
      switchyard: {
        median_ms: null,
        available: false,
        options: { properties: { seed: { type: "integer", minimum: 2, maximum: 20 }, size: { type: "string", enum: ["2x2"] }, enhance: { type: "string" } } },
      },
    },
  ]);

  it("are read from the list", () => {
    expect(models[0]).toMatchObject({ provider: "a", model: "one", label: "One", medianMs: 4000, available: true, standard: true });
    expect(models[1]).toMatchObject({ provider: "b", model: "two/v2", label: "two/v2", medianMs: undefined, available: false });
  });

  it("have in common what each of them takes", () => {
    const common = commonOptions(models);
    expect(common.map(({ name }) => name)).toEqual(["size", "seed"]);
    expect(common[0]).toMatchObject({ choices: ["2x2"], standard: undefined });
    expect(common[1]).toMatchObject({ minimum: 2, maximum: 9 });
    expect(commonOptions([])).toEqual([]);
  });
});
