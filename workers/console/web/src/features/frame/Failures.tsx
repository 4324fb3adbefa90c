import { type ErrorComponentProps, Link, useRouter } from "@tanstack/react-router";
import { useEffect, useRef } from "react";
import { useConnection } from "../../api/connection_hooks";
import { ApiError, asApiError } from "../../api/errors";
import { Brand, buttonClass, EmptyState, ErrorState, Page } from "../../ui";
import { askWhenDue } from "./banners";

/**
 * A page that could not be loaded or drawn. The frame around it stays.
 *
 * A chunk that is gone after a new build has reloaded the page once already (`lazyRouteComponent` does); what comes
 * here could not be loaded after that either, and only a reload can help.
 */
export function PageFailure({ error, reset }: ErrorComponentProps) {
  const router = useRouter();
  const chunk = chunkFailure(asApiError(error));
  const retry = () => {
    if (chunk !== null) {
      location.reload();
      return;
    }
    reset();
    void router.invalidate();
  };
  // Without its code only a reload helps, and that is the person's to choose.
  useComeback(chunk === null ? asApiError(error).status : 404, retry);
  return (
    <Page title="This page could not be shown">
      <ErrorState error={chunk ?? asApiError(error)} onRetry={retry} />
    </Page>
  );
}

function chunkFailure(error: ApiError): ApiError | null {
  if (!/dynamically imported module|importing a module script/i.test(error.message)) return null;
  return new ApiError({
    status: 0,
    code: "page_incomplete",
    message: "A part of this page could not be loaded.",
    hint: "A new version may be replacing the old one, or the connection failed. Reload the page.",
    requestId: "",
  });
}

/** What is away is asked for again this often, whatever the state of the connection says. */
const AGAIN_MS = 10_000;

/** Tries again by itself: when the console answers again, and every ten seconds while something behind it is away. */
function useComeback(status: number, retry: () => void): void {
  const { online } = useConnection();
  const was = useRef(online);
  const again = useRef(retry);
  useEffect(() => {
    again.current = retry;
  });
  useEffect(askWhenDue, []);
  useEffect(() => {
    if (online && !was.current) again.current();
    was.current = online;
  }, [online]);
  useEffect(() => {
    if (![0, 502, 503].includes(status)) return;
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") again.current();
    }, AGAIN_MS);
    return () => clearInterval(timer);
  }, [status]);
}

/** Nothing could be loaded, not even who is signed in. */
export function StartFailure({ error, reset }: ErrorComponentProps) {
  const router = useRouter();
  const retry = () => {
    reset();
    void router.invalidate();
  };
  useComeback(asApiError(error).status, retry);
  return (
    <main className="mx-auto flex min-h-dvh w-full max-w-2xl flex-col justify-center gap-6 px-4 py-10">
      <Brand large />
      <h1 className="sr-only">The console could not start</h1>
      <ErrorState error={asApiError(error)} onRetry={retry} />
    </main>
  );
}

export function NotFound() {
  return (
    <Page title="Nothing here">
      <EmptyState
        icon="magnifyingGlass"
        title="This address leads to no page"
        action={
          <Link to="/play" className={buttonClass("primary")}>
            Go to the playground
          </Link>
        }
      >
        It may be mistyped, or the page may have moved.
      </EmptyState>
    </Page>
  );
}

/** While a page's code is on its way. Shown late, so that a fast load does not flicker. */
export function PagePending() {
  return (
    <div role="status" className="sr-only">
      Loading the page
    </div>
  );
}
