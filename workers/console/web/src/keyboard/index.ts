import { useEffect, useEffectEvent, useSyncExternalStore } from "react";
import { isTyping, type Shortcut, ShortcutRegistry } from "./registry";

export type { Shortcut } from "./registry";

export const shortcuts = new ShortcutRegistry();

/** Listens for the whole application; called once, by the frame. */
export function useShortcutListener(): void {
  const onKey = useEffectEvent((event: KeyboardEvent) => {
    // Over an open dialog the page below takes no keys, wherever the focus is; the dialog has its own.
    if (document.querySelector('[role="dialog"], [role="alertdialog"]') !== null) return;
    shortcuts.handle(event, isTyping(event.target), performance.now());
  });
  useEffect(() => {
    const listen = (event: KeyboardEvent) => onKey(event);
    document.addEventListener("keydown", listen);
    return () => document.removeEventListener("keydown", listen);
  }, []);
}

/** The keys of a page, while it is shown. `list` may be a new array at each render; only its keys and texts count. */
export function useShortcuts(title: string, list: readonly Shortcut[]): void {
  const signature = JSON.stringify(list.map(({ keys, does, whileTyping }) => ({ keys, does, whileTyping })));
  const run = useEffectEvent((keys: string, event: KeyboardEvent) => {
    list.find((shortcut) => shortcut.keys === keys)?.run(event);
  });
  useEffect(() => {
    const stable = (JSON.parse(signature) as Omit<Shortcut, "run">[]).map(
      (shortcut): Shortcut => ({ ...shortcut, run: (event) => run(shortcut.keys, event) }),
    );
    return shortcuts.add(title, stable);
  }, [title, signature]);
}

/** What the sheet shows. */
export function useShortcutList(): ReturnType<ShortcutRegistry["list"]> {
  return useSyncExternalStore(shortcuts.watch, shortcuts.list);
}

/** `j` and `k` walk through the rows of the table in `container`, Enter opens one: rows are `[data-row]`. */
export function useRowKeys(container: React.RefObject<HTMLElement | null>): void {
  const step = (by: number) => {
    const rows = [...(container.current?.querySelectorAll<HTMLElement>("[data-row]") ?? [])];
    const at = rows.findIndex((row) => row.contains(document.activeElement));
    const next = rows[Math.min(rows.length - 1, Math.max(0, at + by))];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  };
  useShortcuts("Table", [
    { keys: "j", does: "Next row", run: () => step(1) },
    { keys: "k", does: "Previous row", run: () => step(-1) },
  ]);
}
