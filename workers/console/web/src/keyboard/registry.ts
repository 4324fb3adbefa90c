/**
 * Shortcuts of the page: single keys, two keys after each other (`g p`), and `mod+` combinations.
 *
 * Single letters are off while typing, and can be switched off (WCAG 2.1.4).
 */
export interface Shortcut {
  /** `r`, `?`, `g p`, `mod+enter`; `mod` is Command on a Mac, Control elsewhere. */
  keys: string;
  /** What it does, for the sheet: "Refresh". */
  does: string;
  run: (event: KeyboardEvent) => void;
  /** Also while typing in a field; only `mod+` combinations and Escape should. */
  whileTyping?: boolean;
}

type Listener = () => void;

/** Two keys belong together when the second comes within this time. */
const SEQUENCE_MS = 1_000;

export class ShortcutRegistry {
  private groups: { title: string; shortcuts: readonly Shortcut[] }[] = [];
  private readonly listeners = new Set<Listener>();
  private pending: { key: string; at: number } | null = null;
  private snapshot: readonly { title: string; shortcuts: readonly Shortcut[] }[] = [];
  lettersOn = true;

  /** Later groups win; returns the removal. */
  add(title: string, shortcuts: readonly Shortcut[]): () => void {
    const group = { title, shortcuts };
    this.groups.push(group);
    this.changed();
    return () => {
      this.groups = this.groups.filter((other) => other !== group);
      this.changed();
    };
  }

  /** All groups, for the sheet. */
  list = (): readonly { title: string; shortcuts: readonly Shortcut[] }[] => this.snapshot;

  watch = (listener: Listener): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** Runs what the key means; true when it meant something. */
  handle(event: KeyboardEvent, typing: boolean, now: number): boolean {
    if (event.defaultPrevented || event.isComposing || event.key === "Shift") return false;
    const key = nameOf(event);
    const letter = !key.includes("+") && key !== "escape";
    if (letter && !this.lettersOn) return false;
    const before = this.pending !== null && now - this.pending.at <= SEQUENCE_MS ? this.pending.key : null;
    this.pending = null;
    const found = (before === null ? undefined : this.find(`${before} ${key}`, typing)) ?? this.find(key, typing);
    if (found !== undefined) {
      event.preventDefault();
      found.run(event);
      return true;
    }
    if (letter && !typing && this.startsSequence(key)) this.pending = { key, at: now };
    return false;
  }

  private find(keys: string, typing: boolean): Shortcut | undefined {
    for (const group of this.groups.toReversed()) {
      const found = group.shortcuts.find((s) => s.keys === keys && (!typing || s.whileTyping === true));
      if (found !== undefined) return found;
    }
    return undefined;
  }

  private startsSequence(key: string): boolean {
    return this.groups.some((group) => group.shortcuts.some((s) => s.keys.startsWith(`${key} `)));
  }

  private changed(): void {
    this.snapshot = [...this.groups];
    for (const listener of this.listeners) listener();
  }
}

function nameOf(event: KeyboardEvent): string {
  const key = event.key.toLowerCase();
  if (event.ctrlKey || event.metaKey) return `mod+${key}`;
  return event.altKey ? `alt+${key}` : key;
}

/** Whether keys go into a field: an input that takes text, a text area, a list box, something editable. */
export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target.tagName === "TEXTAREA" || target.tagName === "SELECT") return true;
  if (target.closest('[role="menu"], [role="listbox"], [role="combobox"]') !== null) return true;
  return target instanceof HTMLInputElement && !["checkbox", "radio", "button", "submit", "range"].includes(target.type);
}
