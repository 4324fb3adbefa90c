/** Who may see a page. Hides what is not allowed; the server decides. */
import type { QueryClient } from "@tanstack/react-query";
import { redirect } from "@tanstack/react-router";
import { sessionQuery } from "../../api/session";
import { safeNext } from "./next";

export interface RouterContext {
  queryClient: QueryClient;
}

interface GuardInput {
  context: RouterContext;
  location: { href: string };
}

/** `beforeLoad` of a page that works signed out: the session is known when it is drawn. */
export async function loadSession({ context }: Pick<GuardInput, "context">): Promise<void> {
  await context.queryClient.query({ ...sessionQuery, staleTime: "static" });
}

/** `beforeLoad` of a page that needs a session: else to the sign-in, and back. */
export async function requireSession({ context, location }: GuardInput): Promise<void> {
  const session = await context.queryClient.query({ ...sessionQuery, staleTime: "static" });
  if (session === null) throw redirect({ to: "/login", search: { next: location.href } });
}

/** `beforeLoad` of the sign-in: who is signed in goes on. The form also stands while the service is down. */
export async function leaveIfSignedIn(context: RouterContext, next: string | undefined): Promise<void> {
  const session = await context.queryClient.query({ ...sessionQuery, staleTime: "static" }).catch(() => null);
  if (session !== null) throw redirect({ href: safeNext(next), replace: true });
}
