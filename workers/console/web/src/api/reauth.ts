/** The session ended under an open page: who waits for a new sign-in, and what they wanted to do. */
import type { ApiError } from "./errors";
import type { WriteLabel } from "./transport";

export interface Waiting {
  id: number;
  /** The refused write; `null` for a read, which goes on by itself. */
  write: WriteLabel | null;
  error: ApiError;
}

interface Entry extends Waiting {
  settle: (again: boolean) => void;
}

let entries: readonly Entry[] = [];
let nextId = 1;
const listeners = new Set<() => void>();

function set(next: readonly Entry[]): void {
  entries = next;
  for (const listener of listeners) listener();
}

export function waiting(): readonly Waiting[] {
  return entries;
}

export function watchWaiting(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Waits until the person has decided. */
export function signInAgain(write: WriteLabel | null, error: ApiError): Promise<boolean> {
  return new Promise((settle) => {
    set([...entries, { id: nextId++, write, error, settle }]);
  });
}

/** Signed in: reads go on at once; writes stay until the person says so. */
export function resumeReads(): void {
  const reads = entries.filter((entry) => entry.write === null);
  set(entries.filter((entry) => entry.write !== null));
  for (const entry of reads) entry.settle(true);
}

/** The person's word about the refused writes, or that they do not sign in (`false`: all fail with their 401). */
export function settleAll(again: boolean): void {
  const all = entries;
  set([]);
  for (const entry of all) entry.settle(again);
}
