import { type ReactNode, useMemo, useState } from "react";
import { Button } from "./Button";
import { CopyButton } from "./Copy";
import { cx } from "./cx";
import { type TokenKind, tokens } from "./highlight";

const COLOURS: Record<TokenKind, string> = {
  plain: "",
  string: "text-code-string",
  number: "text-code-number",
  keyword: "text-code-key",
  comment: "text-code-comment",
};

export interface CodeBlockProps {
  code: string;
  /** Named by the copy button. */
  what?: string;
  /** Long lines are broken instead of scrolled. */
  wrap?: boolean;
}

export function CodeBlock({ code, what = "code", wrap = false }: CodeBlockProps) {
  return (
    <div className="flex min-w-0 flex-row-reverse items-start rounded-md border border-line bg-code-ground">
      <div className="p-1">
        <CopyButton text={code} what={what} />
      </div>
      <Highlighted code={code} wrap={wrap} what={what} />
    </div>
  );
}

function Highlighted({ code, wrap, what }: Required<CodeBlockProps>) {
  const parts = useMemo(() => tokens(code), [code]);
  return (
    <pre
      role="region"
      aria-label={what}
      // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls must be reachable by keyboard
      tabIndex={0}
      className={cx("min-w-0 flex-1 overflow-x-auto p-3 text-sm leading-5 text-code", wrap && "break-all whitespace-pre-wrap")}
    >
      <code>
        {parts.map((part, at) =>
          part.kind === "plain" ? (
            part.text
          ) : (
            <span key={at} className={COLOURS[part.kind]}>
              {part.text}
            </span>
          ),
        )}
      </code>
    </pre>
  );
}

export interface CodeTabsProps {
  /** Name of the tab -> code: what `snippets()` gives. */
  code: Readonly<Record<string, string>>;
  label?: string;
}

/** The same thing in several languages; the choice is not kept. */
export function CodeTabs({ code, label = "Language" }: CodeTabsProps) {
  const names = Object.keys(code);
  const [chosen, setChosen] = useState(names[0] ?? "");
  const shown = code[chosen] === undefined ? (names[0] ?? "") : chosen;
  return (
    <div className="min-w-0">
      <div role="group" aria-label={label} className="mb-2 flex flex-wrap gap-1">
        {names.map((name) => (
          <button
            key={name}
            type="button"
            aria-pressed={name === shown}
            onClick={() => setChosen(name)}
            className="min-h-7 rounded-md px-2.5 text-sm text-muted hover:bg-hover hover:text-text aria-pressed:bg-selected aria-pressed:font-medium aria-pressed:text-text"
          >
            {name}
          </button>
        ))}
      </div>
      <CodeBlock code={code[shown] ?? ""} what={shown} />
    </div>
  );
}

/** "Copy as code" of a form or a row: closed until asked. */
export function CodeDisclosure({ code, children = "Show as code" }: { code: Readonly<Record<string, string>>; children?: ReactNode }) {
  const [open, setOpen] = useState(false);
  return (
    <div className="flex min-w-0 flex-col items-start gap-3">
      <Button size="sm" tone="ghost" icon="code" aria-expanded={open} className="-ml-2.5" onClick={() => setOpen(!open)}>
        {open ? "Hide code" : children}
      </Button>
      {open && (
        <div className="w-full">
          <CodeTabs code={code} />
        </div>
      )}
    </div>
  );
}
