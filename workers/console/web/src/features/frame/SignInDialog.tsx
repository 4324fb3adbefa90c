import { useQueryClient } from "@tanstack/react-query";
import { useWaiting } from "../../api/connection_hooks";
import { keys } from "../../api/keys";
import { resumeReads, settleAll } from "../../api/reauth";
import { type Session, useSession } from "../../api/session";
import { Banner, Button, CodeBlock, Dialog } from "../../ui";
import { useEffect, useRef, useState } from "react";
import { SignInForm } from "./SignInForm";

/** The session ended under an open page: sign in over it. Nothing typed is lost; a refused write is offered again. */
export function SignInDialog() {
  const waiting = useWaiting();
  const session = useSession();
  const client = useQueryClient();
  const [signedIn, setSignedIn] = useState<{ as: string; other: boolean } | null>(null);
  // Whose page it was: the session of the new key replaces this one before the form says so.
  const before = useRef<Session | null>(null);
  const asked = waiting.length > 0;
  useEffect(() => {
    if (!asked) before.current = session;
  }, [asked, session]);
  const writes = waiting.flatMap((entry) => (entry.write === null ? [] : [entry.write]));
  const asksAgain = signedIn !== null && writes.length > 0;

  const leave = () => {
    setSignedIn(null);
    settleAll(false);
  };
  const again = () => {
    setSignedIn(null);
    settleAll(true);
  };

  if (asksAgain && signedIn.other) {
    return (
      <Dialog
        open
        onClose={leave}
        title={`You are signed in as ${signedIn.as}`}
        description="What the other person did last was refused because that session had ended. It is not sent in your name."
        size="sm"
        footer={
          <Button tone="primary" onClick={leave}>
            Go on
          </Button>
        }
      >
        <CodeBlock what="The refused request" code={writes.map((write) => `${write.method} ${write.path}`).join("\n")} />
      </Dialog>
    );
  }
  if (asksAgain) {
    return (
      <Dialog
        open
        onClose={leave}
        title={`You are signed in again as ${signedIn.as}`}
        description="What you did last was refused because the session had ended. Nothing was changed by it."
        size="sm"
        footer={
          <>
            <Button onClick={leave}>Do not send</Button>
            <Button tone="primary" onClick={again}>
              Send it again
            </Button>
          </>
        }
      >
        <CodeBlock what="The refused request" code={writes.map((write) => `${write.method} ${write.path}`).join("\n")} />
      </Dialog>
    );
  }
  return (
    <Dialog
      open={waiting.length > 0}
      onClose={leave}
      title={session === null ? "This needs a sign-in" : "Your session has ended"}
      description="Sign in to go on. What you typed stays on the page."
      size="sm"
    >
      <div className="flex flex-col gap-4 pb-3">
        {session !== null && (
          <Banner tone="info" title={`You were signed in as ${session.email}`}>
            With another person’s key the page shows what that person may see.
          </Banner>
        )}
        <SignInForm
          onSignedIn={(now) => {
            setSignedIn(writes.length > 0 ? { as: now.email, other: before.current !== null && before.current.userId !== now.userId } : null);
            resumeReads();
            // Who signed in may see other things than who was signed in before.
            void client.invalidateQueries({ predicate: (query) => query.queryKey[0] !== keys.session[0] });
          }}
        />
      </div>
    </Dialog>
  );
}
