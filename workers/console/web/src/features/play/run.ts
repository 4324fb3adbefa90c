/** One run of the form: sent once, however often it is clicked, and found again after another page and after a reload. */
import { useLocation, useNavigate, useRouter } from "@tanstack/react-router";
import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";
import type { ApiError } from "../../api/errors";
import { useWrite } from "../../api/write";
import { announce, toast } from "../../ui";
import { againOf, amend, begin, belongs, finish, type Held, heldRun, jobOf, type Kept, keptOf, ownKept, type Phase, watchHeld } from "./held";
import { type GenerateRequest, jobBehind, type Once, onceFor, type PlayForm } from "./model";
import { type Caller, generate } from "./queries";
import { outcomeIsKnown } from "./spent";

declare module "@tanstack/react-router" {
  interface HistoryState {
    play?: Kept | undefined;
  }
}

const PATH = "/play";

export interface Run {
  phase: Phase | { is: "idle" };
  /** The form of before another page or a reload. */
  restored: PlayForm | undefined;
  /** The page was reloaded while its request was open. */
  interrupted: boolean;
  /** What was asked for the job that the address names, when this entry of the history asked it. */
  asked: { job: string | undefined; body: GenerateRequest; instanceId: string | undefined } | undefined;
  start: (form: PlayForm, body: GenerateRequest) => void;
  /** Sends the open request once more, to the letter: it joins its job. */
  find: () => void;
  /** The watched job is over: the same form is a new run. */
  settle: () => void;
}

const IDLE = { is: "idle" } as const;

export function useRun(caller: Caller, instanceId: string | undefined, owner: string): Run {
  const router = useRouter();
  const navigate = useNavigate({ from: PATH });
  const entry = useLocation({ select: ({ state, search }) => ({ kept: ownKept(state.play, owner), job: search.job }), structuralSharing: true });
  const held = useSyncExternalStore(watchHeld, heldRun);
  const [mineId, setMineId] = useState(() => {
    const found = heldRun();
    return found !== null && belongs(found, owner, entry) ? found.run : undefined;
  });
  const mine = held !== null && held.run === mineId ? held : null;
  const [interrupted, setInterrupted] = useState(entry.kept?.open === true && mine === null);
  const settled = useRef(false);

  /** Writes the run into its entry of the history. */
  const keep = useCallback(
    async (run: Held) => {
      // Another page may be on its way: its address and what is typed there are not this run's to replace.
      if (router.history.location.pathname !== PATH) return;
      await navigate({
        search: (old) => ({ ...old, job: jobOf(run) }),
        state: (old) => ({ ...old, play: keptOf(run) }),
        replace: true,
        resetScroll: false,
      });
    },
    [navigate, router],
  );
  useEffect(() => {
    if (mine !== null) void keep(mine);
  }, [mine, keep]);

  const write = useWrite({
    write: "image.generate",
    send: (input: { body: GenerateRequest; key: string; instanceId: string | undefined }) => generate(caller, input.instanceId, input.body, input.key),
  });

  // Read at the click, not from the render: a second one comes before the next.
  const mineNow = () => {
    const last = heldRun();
    return last?.run === mineId ? last : null;
  };

  const start = (form: PlayForm, body: GenerateRequest): void => {
    const last = mineNow();
    const before = last !== null ? last.once : settled.current ? null : (entry.kept?.once ?? null);
    void post({ form, body, instanceId, once: onceFor(before, { body, instanceId }, () => crypto.randomUUID()) });
  };

  const find = (): void => {
    const again = againOf(mineNow(), entry.kept);
    if (again !== null) void post(again);
  };

  const post = async (asked: { form: PlayForm; body: GenerateRequest; instanceId: string | undefined; once: Once }): Promise<void> => {
    if (mineNow()?.phase.is === "sending") return;
    const { body, once } = asked;
    const run = begin({ owner, ...asked });
    setMineId(run.run);
    setInterrupted(false);
    settled.current = false;
    announce("Generating");
    try {
      await keep(run);
      const { result, timings } = await write.mutateAsync({ body, key: once.key, instanceId: asked.instanceId });
      finish(run, result, timings);
      tell("The picture is ready", "It waits in the playground.", "good");
    } catch (thrown) {
      const error = thrown as ApiError;
      // What is certainly over may be asked for anew; anything else stays the same request.
      amend(run.run, { once: outcomeIsKnown(error) ? null : once, phase: { is: "refused", sent: run.phase.sent, error } });
      if (jobBehind(error) === null) tell("", "The playground says why.", "warn");
      else tell("The picture takes longer", "The playground watches its job.", "info");
    }
  };

  /** On its own page in words only, because it is seen there; a failure there is an alert that speaks by itself. */
  const tell = (words: string, elsewhere: string, tone: "good" | "warn" | "info") => {
    if (router.history.location.pathname !== PATH) toast({ tone, title: words === "" ? "No picture came" : words, text: elsewhere });
    else if (words !== "") announce(words);
  };

  const settle = useCallback(() => {
    const last = heldRun();
    if (last === null || last.run !== mineId) settled.current = true;
    else if (last.phase.is !== "sending") amend(last.run, { once: null });
  }, [mineId]);

  const kept = entry.kept;
  return {
    phase: mine?.phase ?? IDLE,
    restored: mine?.form ?? kept?.form,
    interrupted,
    asked:
      mine !== null
        ? { job: jobOf(mine), body: mine.phase.sent.body, instanceId: mine.phase.sent.instanceId }
        : kept === undefined
          ? undefined
          : { job: kept.job, body: kept.body, instanceId: kept.instanceId },
    start,
    find,
    settle,
  };
}
