import { useEffect, useState } from "react";
import { shortId } from "../format/ids";
import { Button, IconButton } from "./Button";
import { announce, toast } from "./Toast";
import { cx } from "./cx";

async function write(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

/** Copies, and says so; the mark goes after two seconds. */
function useCopy(text: string, what: string): [copied: boolean, copy: () => void] {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 2_000);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = () => {
    void write(text).then((done) => {
      setCopied(done);
      if (done) announce(`${what} copied`);
      else toast({ tone: "bad", title: "The browser refused to copy", text: "Select the text and copy it by hand." });
    });
  };
  return [copied, copy];
}

export function CopyButton({ text, what, size = "sm" }: { text: string; what: string; size?: "sm" | "md" }) {
  const [copied, copy] = useCopy(text, what);
  return <IconButton icon={copied ? "check" : "copy"} label={copied ? "Copied" : `Copy ${what}`} size={size} onClick={copy} />;
}

export function CopyTextButton({ text, what, label = "Copy" }: { text: string; what: string; label?: string }) {
  const [copied, copy] = useCopy(text, what);
  return (
    <Button size="sm" icon={copied ? "check" : "copy"} onClick={copy}>
      {copied ? "Copied" : label}
    </Button>
  );
}

/** An id in monospace, its middle left out, copied whole. */
export function Id({ id, what = "id", full = false }: { id: string; what?: string; full?: boolean }) {
  return (
    <span className="inline-flex max-w-full items-center gap-0.5">
      <span title={id} className={cx("font-mono text-sm", full ? "break-all" : "truncate")}>
        {full ? id : shortId(id)}
      </span>
      <CopyButton text={id} what={what} />
    </span>
  );
}

/** A longer text with its copy button at the end: an address, a path. */
export function CopyField({ label, text }: { label: string; text: string }) {
  return (
    <div className="flex min-w-0 flex-col gap-1">
      <span className="text-sm font-medium">{label}</span>
      <div className="flex items-center gap-1 rounded-md border border-line bg-code-ground pr-1 pl-3">
        <code title={text} className="min-w-0 flex-1 truncate py-2 text-sm text-code">{text}</code>
        <CopyButton text={text} what={label} />
      </div>
    </div>
  );
}
