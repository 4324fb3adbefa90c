import { CopyButton } from "./Copy";

/** JSON that folds. Texts stay texts, whatever markup they hold. */
export function JsonTree({ value, what = "JSON", open = 2 }: { value: unknown; what?: string; open?: number }) {
  return (
    <div className="relative rounded-md border border-line bg-code-ground">
      <div className="absolute top-1 right-1">
        <CopyButton text={JSON.stringify(value, null, 2)} what={what} />
      </div>
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- a region that scrolls must be reachable by keyboard */}
      <div role="region" aria-label={what} tabIndex={0} className="overflow-x-auto p-3 pr-11 font-mono text-sm leading-6 text-code">
        <Node value={value} depth={0} open={open} />
      </div>
    </div>
  );
}

function Node({ name, value, depth, open }: { name?: string; value: unknown; depth: number; open: number }) {
  const label = name === undefined ? null : <span className="text-code-key">{name}: </span>;
  if (typeof value !== "object" || value === null) {
    return (
      <div className="pl-4">
        {label}
        <Leaf value={value} />
      </div>
    );
  }
  const members = Object.entries(value as Record<string, unknown>);
  const brackets = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  if (members.length === 0) {
    return (
      <div className="pl-4">
        {label}
        {brackets.join("")}
      </div>
    );
  }
  return (
    <details open={depth < open}>
      <summary className="cursor-pointer rounded-sm pl-0.5 marker:text-muted">
        {label}
        {brackets[0]}
        <span className="text-code-comment"> {members.length} </span>
        {brackets[1]}
      </summary>
      <div className="ml-1.5 border-l border-line pl-2">
        {members.map(([member, inner]) => (
          <Node key={member} name={member} value={inner} depth={depth + 1} open={open} />
        ))}
      </div>
    </details>
  );
}

function Leaf({ value }: { value: unknown }) {
  if (typeof value === "string") return <span className="break-all whitespace-pre-wrap text-code-string">{JSON.stringify(value)}</span>;
  if (typeof value === "number") return <span className="text-code-number">{String(value)}</span>;
  return <span className="text-code-key">{String(value)}</span>;
}
