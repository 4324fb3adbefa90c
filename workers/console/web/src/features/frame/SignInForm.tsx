import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { type ApiError, asApiError } from "../../api/errors";
import { type Session, signIn } from "../../api/session";
import { countdown } from "../../format/duration";
import { keyFaultText } from "../../format/api_key";
import { Button, ErrorState, Field, focusFirstError, SecretInput, useCountdown } from "../../ui";
import { signInFailure } from "./sign_in_failure";

/** One field; the form of the key is checked before anything is sent. */
export function SignInForm({ onSignedIn, action = "Sign in" }: { onSignedIn: (session: Session) => void; action?: string }) {
  const client = useQueryClient();
  const [key, setKey] = useState("");
  const [fault, setFault] = useState<string | null>(null);
  const form = useRef<HTMLFormElement>(null);
  // Never an argument of the exchange: its memory would keep the key after it.
  const given = useRef("");
  const exchange = useMutation<Session, ApiError>({
    gcTime: 0,
    mutationFn: async () => {
      try {
        return await signIn(client, given.current);
      } catch (error) {
        throw asApiError(error);
      } finally {
        given.current = "";
      }
    },
    onSuccess: (session) => {
      setKey("");
      onSignedIn(session);
    },
    onError: () => focusFirstError(form.current),
  });
  const left = useCountdown(exchange.error?.status === 429 ? exchange.error.retryAfterMs : undefined, exchange.error);
  const failure = exchange.error === null ? null : signInFailure(exchange.error);

  const submit = () => {
    if (exchange.isPending || left > 0) return;
    const text = keyFaultText(key);
    setFault(text);
    if (text !== null) {
      exchange.reset();
      focusFirstError(form.current);
      return;
    }
    given.current = key;
    exchange.mutate();
  };

  return (
    <form
      ref={form}
      noValidate
      className="flex flex-col gap-4"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <Field label="API key" required error={fault ?? failure?.field}>
        <SecretInput
          value={key}
          placeholder="sy_…"
          onValue={(value) => {
            setKey(value);
            setFault(null);
          }}
        />
      </Field>
      {failure !== null && failure.field === undefined && exchange.error !== null && (
        <ErrorState compact error={failure.shown} {...(failure.retry ? { onRetry: submit } : {})} />
      )}
      <Button type="submit" tone="primary" busy={exchange.isPending} waiting={left > 0} className="w-full">
        {left > 0 ? `Try again in ${countdown(left)}` : exchange.isPending ? "Checking the key" : action}
      </Button>
    </form>
  );
}
