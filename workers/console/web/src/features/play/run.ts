/** One run of the form: sent once, however often it is clicked, and found again after a reload. */
import { useLocation, useNavigate } from "@tanstack/react-router";
import { useCallback, useRef, useState } from "react";
import type { ApiError } from "../../api/errors";
import { useWrite } from "../../api/write";
import { announce } from "../../ui";
import { type GenerateRequest, type GenerateResponse, jobBehind, type Once, onceFor, outcomeIsKnown, type PlayForm } from "./model";
import { type Caller, generate } from "./queries";

/** What was sent; shown with its answer, whatever the form says meanwhile. */
export interface Sent {
  body: GenerateRequest;
  instanceId: string | undefined;
  /** Milliseconds since the epoch. */
  at: number;
}

export type Phase =
  | { is: "idle" }
  | { is: "sending"; sent: Sent }
  | { is: "made"; sent: Sent; result: GenerateResponse; tookMs: number }
  | { is: "refused"; sent: Sent; error: ApiError };

/** Kept in the entry of the browser's history, so that a reload finds its run; it never holds a key. */
export interface Kept {
  form: PlayForm;
  /** `null` when the outcome is known. */
  once: Once | null;
  /** No answer came yet. */
  open: boolean;
}

declare module "@tanstack/react-router" {
  interface HistoryState {
    play?: Kept | undefined;
  }
}

export interface Run {
  phase: Phase;
  /** The form of before a reload. */
  restored: PlayForm | undefined;
  /** The page was left while its request was open. */
  interrupted: boolean;
  start: (form: PlayForm, body: GenerateRequest) => void;
  /** The watched job is over: the same form is a new run. */
  settle: () => void;
}

export function useRun(caller: Caller, instanceId: string | undefined): Run {
  const navigate = useNavigate({ from: "/play" });
  const kept = useLocation({ select: (location) => location.state.play });
  const [interrupted, setInterrupted] = useState(kept?.open === true);
  const [phase, setPhase] = useState<Phase>({ is: "idle" });
  const once = useRef<Once | null>(kept?.once ?? null);
  const busy = useRef(false);

  const keep = (play: Kept, job: string | undefined) =>
    navigate({
      search: (old) => ({ ...old, job }),
      state: (old) => ({ ...old, play }),
      replace: true,
      resetScroll: false,
    });

  const write = useWrite({
    write: "image.generate",
    send: (input: { body: GenerateRequest; key: string }) => generate(caller, instanceId, input.body, input.key),
  });

  const run = async (form: PlayForm, body: GenerateRequest): Promise<void> => {
    if (busy.current) return;
    busy.current = true;
    const mine = onceFor(once.current, { body, instanceId }, () => crypto.randomUUID());
    once.current = mine;
    const sent: Sent = { body, instanceId, at: Date.now() };
    setInterrupted(false);
    setPhase({ is: "sending", sent });
    announce("Generating");
    try {
      await keep({ form, once: mine, open: true }, undefined);
      const result = await write.mutateAsync({ body, key: mine.key });
      once.current = null;
      setPhase({ is: "made", sent, result, tookMs: Date.now() - sent.at });
      announce("The picture is ready");
      await keep({ form, once: null, open: false }, result.job_id);
    } catch (thrown) {
      const error = thrown as ApiError;
      // What is certainly over may be asked for anew; anything else stays the same request.
      if (outcomeIsKnown(error)) once.current = null;
      setPhase({ is: "refused", sent, error });
      await keep({ form, once: once.current, open: error.status === 0 }, jobBehind(error) ?? undefined);
    } finally {
      busy.current = false;
    }
  };

  const settle = useCallback(() => {
    if (!busy.current) once.current = null;
  }, []);

  return { phase, restored: kept?.form, interrupted, start: (form, body) => void run(form, body), settle };
}
