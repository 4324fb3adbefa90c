/** What the page knows about its connection: online or not, since when, and whether the server has another build. */
export interface Connection {
  online: boolean;
  /** Milliseconds since the epoch of the last answer. */
  lastAnswer: number;
  /** The server's build when it is not this page's. */
  newBuild: string | null;
}

type Listener = () => void;

const PAGE_BUILD: string = (import.meta.env["VITE_GIT_SHA"] as string | undefined) ?? "";
const listeners = new Set<Listener>();
let state: Connection = { online: true, lastAnswer: Date.now(), newBuild: null };

export function connection(): Connection {
  return state;
}

export function watchConnection(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function observeAnswer(answer: { online: boolean; build: string | null }): void {
  const newBuild = isOther(answer.build) ? answer.build : state.newBuild;
  const changed = state.online !== answer.online || state.newBuild !== newBuild;
  state = { online: answer.online, newBuild, lastAnswer: answer.online ? Date.now() : state.lastAnswer };
  if (changed) for (const listener of listeners) listener();
}

/** The stamp of this page's build; empty in a development server. */
export function pageBuild(): string {
  return PAGE_BUILD;
}

function isOther(build: string | null): build is string {
  return PAGE_BUILD !== "" && build !== null && build !== "" && build !== PAGE_BUILD;
}

/** A page that heard nothing for this long asks whether the console is still there. */
const SILENCE_MS = 10_000;
/** An answer that takes longer is none. */
const PATIENCE_MS = 8_000;

/** Whether a page that may look at `now` has to ask: always while offline, after a silence otherwise, never while hidden. */
export function probeIsDue({ online, lastAnswer }: Connection, visible: boolean, now: number): boolean {
  return visible && (!online || now - lastAnswer >= SILENCE_MS);
}

let asking = false;

/**
 * Asks whether the console answers; any answer counts.
 *
 * For a small file, not for `/health`: that asks every worker behind it, which is too much for each open page.
 */
export async function probe(): Promise<void> {
  if (asking) return;
  asking = true;
  try {
    const response = await fetch("/theme.js", { method: "HEAD", cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    observeAnswer({ online: true, build: response.headers.get("x-switchyard-build") });
  } catch {
    observeAnswer({ online: false, build: null });
  } finally {
    asking = false;
  }
}
