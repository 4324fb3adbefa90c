/** The error reference of `docs/errors.md`, loaded when somebody asks for an explanation. */

export interface Explanation {
  /** `Meaning`, `Cause`, `Cure`, in the document's order. */
  parts: { title: string; text: string }[];
}

/** The section of a code; `null` when the reference has none. */
export async function explain(code: string): Promise<Explanation | null> {
  const reference = await import("../../../../../docs/errors.md?raw");
  return sectionOf(reference.default, code);
}

export function sectionOf(reference: string, code: string): Explanation | null {
  const lines = reference.split("\n");
  const start = lines.indexOf(`## ${code}`);
  if (start < 0) return null;
  const rest = lines.slice(start + 1);
  const next = rest.findIndex((line) => line.startsWith("## "));
  const section = next < 0 ? rest : rest.slice(0, next);
  const parts = section.flatMap((line) => {
    const match = /^- (\w+): (.+)$/.exec(line);
    return match === null ? [] : [{ title: match[1] ?? "", text: (match[2] ?? "").replaceAll("`", "") }];
  });
  return { parts };
}
