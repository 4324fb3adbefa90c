import { useRouter, useSearch } from "@tanstack/react-router";
import { useEffect, useRef } from "react";
import { Brand, buttonClass, useTitle } from "../../ui";
import { safeNext } from "./next";
import { SignInForm } from "./SignInForm";

export function LoginPage() {
  const router = useRouter();
  const { next } = useSearch({ strict: false });
  useTitle("Sign in");
  const page = useRef<HTMLElement>(null);
  // The page has one purpose; who comes here types or pastes a key.
  useEffect(() => page.current?.querySelector("input")?.focus(), []);
  return (
    <main ref={page} className="grid min-h-dvh place-items-center px-4 py-10">
      <div className="flex w-full max-w-sm flex-col gap-7">
        <div className="flex flex-col items-center gap-5 text-center">
          <Brand large />
          <div className="flex flex-col gap-1">
            <h1 className="text-xl font-semibold tracking-tight">Sign in to the console</h1>
            <p className="text-balance text-muted">Your key is exchanged for a session of 12 hours and then forgotten.</p>
          </div>
        </div>
        <div className="rounded-xl border border-line bg-surface p-5 shadow-2 sm:p-6">
          <SignInForm onSignedIn={() => void router.navigate({ href: safeNext(next), replace: true })} />
        </div>
        <section className="flex flex-col gap-2 text-sm text-muted" aria-labelledby="where">
          <h2 id="where" className="font-medium text-text">
            Where does a key come from?
          </h2>
          <p>
            On your own machine <code className="text-text">cargo x dev</code> prints one. Elsewhere an administrator makes one for you under
            Keys.
          </p>
        </section>
        <a href="/play" className={buttonClass("ghost", "sm")}>
          Continue to the playground with a key of your own
        </a>
      </div>
    </main>
  );
}
