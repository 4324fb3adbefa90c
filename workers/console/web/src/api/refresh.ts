/**
 * Whether what is on screen refreshes by itself: not in a hidden tab, and not while a person has paused it.
 *
 * A paused page counts as one without the focus, and so no interval of a query asks. What is asked by hand is still
 * fetched, and a job that somebody waits for is still watched.
 */
import { focusManager } from "@tanstack/react-query";

type Listener = () => void;

const listeners = new Set<Listener>();
let paused = false;

export function refreshPaused(): boolean {
  return paused;
}

export function watchRefresh(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function pauseRefresh(on: boolean): void {
  paused = on;
  focusManager.setFocused(on ? false : undefined);
  for (const listener of listeners) listener();
}
