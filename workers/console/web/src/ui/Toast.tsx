/** Notices that go by themselves, and the one polite live region of the application. */
import { useEffect, useSyncExternalStore } from "react";
import { IconButton } from "./Button";
import { cx } from "./cx";
import { Icon, type IconName } from "./icons";

export type ToastTone = "good" | "bad" | "info" | "warn";

export interface ToastOptions {
  tone?: ToastTone;
  title: string;
  text?: string;
  action?: { label: string; run: () => void };
  /** Milliseconds; a notice with an action or of a failure stays until it is closed. */
  life?: number;
}

interface Entry extends ToastOptions {
  id: number;
}

const LIFE_MS = 6_000;
const ICONS: Record<ToastTone, IconName> = { good: "checkCircle", bad: "warningCircle", info: "info", warn: "warning" };
const COLOURS: Record<ToastTone, string> = { good: "text-good", bad: "text-bad", info: "text-info", warn: "text-warn" };

let entries: readonly Entry[] = [];
let spoken = "";
let nextId = 1;
const listeners = new Set<() => void>();

function changed(): void {
  for (const listener of listeners) listener();
}

function watch(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Shows a notice and says it. Returns its removal. */
export function toast(options: ToastOptions): () => void {
  const entry = { ...options, id: nextId++ };
  // An equal notice is not stacked: its older copy goes.
  entries = [...entries.filter((other) => other.title !== entry.title || other.text !== entry.text), entry].slice(-4);
  announce([options.title, options.text].filter(Boolean).join(". "));
  return () => close(entry.id);
}

/** Says a text to screen readers, politely. Never for fast output. */
export function announce(text: string): void {
  // An equal text would be no change and so would not be said; a no-break space makes it one.
  spoken = text === spoken ? `${text}\u00a0` : text;
  changed();
}

function close(id: number): void {
  entries = entries.filter((entry) => entry.id !== id);
  changed();
}

export function Toaster() {
  const shown = useSyncExternalStore(watch, () => entries);
  const text = useSyncExternalStore(watch, () => spoken);
  return (
    <>
      <div role="status" aria-live="polite" className="sr-only">
        {text}
      </div>
      <section
        aria-label="Notices"
        className="pointer-events-none fixed right-0 bottom-0 z-70 flex w-full max-w-md flex-col gap-2 p-3 sm:p-5"
      >
        {shown.map((entry) => (
          <Notice key={entry.id} {...entry} />
        ))}
      </section>
    </>
  );
}

function Notice({ id, tone = "info", title, text, action, life }: Entry) {
  const stays = action !== undefined || tone === "bad";
  useEffect(() => {
    if (stays && life === undefined) return;
    const timer = setTimeout(() => close(id), life ?? LIFE_MS);
    return () => clearTimeout(timer);
  }, [id, life, stays]);
  return (
    <div
      data-toast
      className="pointer-events-auto flex items-start gap-3 rounded-lg border border-line bg-raised py-2.5 pr-2 pl-3.5 text-text shadow-2 animate-[sy-fade_0.2s]"
    >
      <Icon name={ICONS[tone]} size={18} className={cx("mt-1.5", COLOURS[tone])} />
      <div className="flex min-w-0 flex-1 flex-col py-1">
        <p className="text-base font-medium">{title}</p>
        {text !== undefined && <p className="text-sm text-muted">{text}</p>}
        {action !== undefined && (
          <button
            type="button"
            onClick={() => {
              action.run();
              close(id);
            }}
            className="mt-1 min-h-6 self-start text-sm font-medium text-link underline underline-offset-2"
          >
            {action.label}
          </button>
        )}
      </div>
      <IconButton icon="x" label="Close notice" size="sm" tooltip={false} onClick={() => close(id)} />
    </div>
  );
}
