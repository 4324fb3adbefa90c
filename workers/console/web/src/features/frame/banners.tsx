/** Above the page: offline, the session's end, another build, ignored parts of the address. */
import { useQueryClient } from "@tanstack/react-query";
import { useNavigate, useRouterState } from "@tanstack/react-router";
import { useEffect, useRef } from "react";
import { connection, probe, probeIsDue } from "../../api/connection";
import { useConnection } from "../../api/connection_hooks";
import { useSession } from "../../api/session";
import { clockTime } from "../../format/time";
import { announce, Banner, toast, useNow } from "../../ui";
import { dropped } from "./search";

const LOOK_MS = 2_000;
const WARN_BEFORE_MS = 10 * 60_000;

export function Banners() {
  const connection = useConnection();
  return (
    <div className="flex flex-col gap-2 px-4 pt-3 empty:hidden sm:px-7">
      {!connection.online && (
        <Banner tone="warn" title="Offline: the console does not answer">
          What is on the page stays, as of {clockTime(connection.lastAnswer)}. It refreshes by itself when the console answers again.
        </Banner>
      )}
      <Expiry />
    </div>
  );
}

function Expiry() {
  const session = useSession();
  const now = useNow(10_000);
  if (session === null) return null;
  const left = Date.parse(session.expiresAt) - now;
  if (!(left > 0 && left <= WARN_BEFORE_MS)) return null;
  return (
    <Banner tone="warn" title={`Your session ends at ${clockTime(session.expiresAt)}`}>
      You can go on working: the page asks for your key when the time has come, and keeps what you typed.
    </Banner>
  );
}

/** Asks whether the console is there: after a silence, while it is away, and when the browser or the tab comes back. Then all is fetched anew. */
export function useRecovery(): void {
  const { online } = useConnection();
  const client = useQueryClient();
  const was = useRef(online);
  useEffect(askWhenDue, []);
  useEffect(() => {
    if (online && !was.current) {
      announce("The console answers again");
      void client.invalidateQueries({ predicate: (query) => query.queryKey[0] !== "session" });
    }
    was.current = online;
  }, [online, client]);
}

/** Looks every two seconds whether a question is due, and asks at once when the network changes; the way to end it is returned. */
export function askWhenDue(): () => void {
  const ask = () => void probe();
  const look = () => {
    if (probeIsDue(connection(), document.visibilityState === "visible", Date.now())) ask();
  };
  const timer = setInterval(look, LOOK_MS);
  window.addEventListener("offline", ask);
  window.addEventListener("online", ask);
  document.addEventListener("visibilitychange", look);
  return () => {
    clearInterval(timer);
    window.removeEventListener("offline", ask);
    window.removeEventListener("online", ask);
    document.removeEventListener("visibilitychange", look);
  };
}

/** Another build answers: says so once. */
export function useVersionNotice(): void {
  const { newBuild } = useConnection();
  useEffect(() => {
    if (newBuild === null) return;
    toast({
      tone: "info",
      title: "A new version is here",
      text: "This page is of an older build. Reload when you have finished what you are doing.",
      action: { label: "Reload", run: () => location.reload() },
    });
  }, [newBuild]);
}

/** Parameters that no schema took are removed from the address, and named. */
export function useAddressNotice(): void {
  const navigate = useNavigate();
  const raw = useRouterState({ select: (state) => state.location.search as Record<string, unknown> });
  const taken = useRouterState({
    select: (state) => Object.assign({}, ...state.matches.map((match) => match._strictSearch)) as Record<string, unknown>,
  });
  const settled = useRouterState({ select: (state) => state.status === "idle" });
  const names = settled ? dropped(raw, taken).join(", ") : "";
  useEffect(() => {
    if (names === "") return;
    toast({ tone: "warn", title: "A part of the address was ignored", text: `Not understood: ${names}.` });
    void navigate({ to: ".", replace: true, search: taken as never });
    // `taken` belongs to `names`; as a dependency it would only repeat the notice.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [names, navigate]);
}
