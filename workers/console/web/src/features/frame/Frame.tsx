import { useQueryClient } from "@tanstack/react-query";
import { useNavigate, useRouterState } from "@tanstack/react-router";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { pageBuild } from "../../api/connection";
import { useInstance } from "../../api/instance";
import { hasRole, useSession } from "../../api/session";
import { shortcuts, useShortcutListener, useShortcuts } from "../../keyboard";
import { lettersWanted } from "../../theme/preferences";
import { IconButton, Shell, toast } from "../../ui";
import { Banners, useAddressNotice, useRecovery, useVersionNotice } from "./banners";
import { Breadcrumb, ConnectionBadge, InstanceSwitcher, RefreshSwitch, ThemeMenu, UserMenu } from "./HeaderControls";
import { roomsOf } from "./rooms";
import { ShortcutSheet } from "./ShortcutSheet";
import { SignInDialog } from "./SignInDialog";

shortcuts.lettersOn = lettersWanted();

/** Every page but the sign-in: shell, header, banners, the sign-in over the page, shortcuts. */
export function Frame({ children }: { children: ReactNode }) {
  const session = useSession();
  const { current } = useInstance();
  const [sheet, setSheet] = useState(false);
  useRecovery();
  useVersionNotice();
  useAddressNotice();
  useShortcutListener();
  useGlobalShortcuts(() => setSheet(true));
  useFocusOnNavigation();

  return (
    <>
      {current?.environment === "production" && <div aria-hidden="true" className="fixed inset-x-0 top-0 z-35 h-0.75 bg-danger" />}
      <Shell
        groups={roomsOf(session)}
        start={
          <>
            <InstanceSwitcher />
            <Breadcrumb />
          </>
        }
        end={
          <>
            <ConnectionBadge />
            {session !== null && <RefreshSwitch />}
            <IconButton icon="question" label="Keyboard shortcuts" className="max-sm:hidden" onClick={() => setSheet(true)} />
            <ThemeMenu />
            <UserMenu onShortcuts={() => setSheet(true)} />
          </>
        }
        foot={
          session === null ? undefined : (
            <span className="flex items-center justify-between gap-2">
              <span>{session.environment}</span>
              <span className="font-mono">{(pageBuild() || session.gitSha).slice(0, 7)}</span>
            </span>
          )
        }
        banners={<Banners />}
      >
        {children}
      </Shell>
      <SignInDialog />
      <ShortcutSheet open={sheet} onClose={() => setSheet(false)} />
    </>
  );
}

function useGlobalShortcuts(onSheet: () => void): void {
  const navigate = useNavigate();
  const client = useQueryClient();
  const session = useSession();
  useShortcuts("Everywhere", [
    { keys: "?", does: "This sheet", run: onSheet },
    { keys: "g p", does: "Go to the playground", run: () => void navigate({ to: "/play" }) },
    ...(hasRole(session, "user") ? [{ keys: "g a", does: "Go to instances", run: () => void navigate({ to: "/admin/instances" }) }] : []),
    { keys: "r", does: "Refresh", run: () => void client.invalidateQueries({ predicate: (query) => query.queryKey[0] !== "session" }) },
    {
      keys: "c",
      does: "Copy link to this view",
      run: () =>
        void navigator.clipboard.writeText(location.href).then(
          () => toast({ tone: "good", title: "Link copied" }),
          () => toast({ tone: "bad", title: "The browser refused to copy", text: "Copy the address from the address bar." }),
        ),
    },
    { keys: "/", does: "Search", run: () => document.querySelector<HTMLElement>("[data-search]")?.focus() },
    { keys: "e", does: "Explain the error", run: () => document.querySelector<HTMLElement>("[data-explain]")?.click() },
  ]);
}

/** A new page is announced by its heading: the focus goes there, as after a full page load. */
function useFocusOnNavigation(): void {
  const path = useRouterState({ select: (state) => state.resolvedLocation?.pathname });
  const last = useRef(path);
  useEffect(() => {
    if (path === undefined || last.current === path) return;
    const first = last.current === undefined;
    last.current = path;
    if (!first) document.querySelector<HTMLElement>("main h1")?.focus();
  }, [path]);
}
