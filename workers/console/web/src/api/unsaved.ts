/** Work that is not saved: leaving asks first, within the application and when the tab is closed. */
import { useBlocker } from "@tanstack/react-router";

export interface Leaving {
  /** Somebody wants to leave, and has not decided. */
  open: boolean;
  onStay: () => void;
  onLeave: () => void;
}

interface Place {
  pathname: string;
  search: object;
}

/** Another page or another tab ends the work; filters and views of the same one do not. */
export function endsWork(here: Place, next: Place): boolean {
  const tab = ({ search }: Place) => (search as { tab?: unknown }).tab;
  return here.pathname !== next.pathname || tab(here) !== tab(next);
}

export function useUnsaved(dirty: boolean): Leaving {
  const blocker = useBlocker({
    shouldBlockFn: ({ current, next }) => dirty && endsWork(current, next),
    enableBeforeUnload: dirty,
    withResolver: true,
  });
  return {
    open: blocker.status === "blocked",
    onStay: () => blocker.reset?.(),
    onLeave: () => blocker.proceed?.(),
  };
}
