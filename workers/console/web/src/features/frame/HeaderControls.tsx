import { useQueryClient } from "@tanstack/react-query";
import { Link, useMatches, useNavigate, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { useConnection, useRefreshPaused } from "../../api/connection_hooks";
import { asApiError } from "../../api/errors";
import { useInstance } from "../../api/instance";
import { pauseRefresh } from "../../api/refresh";
import { signOut, useSession } from "../../api/session";
import { applyTheme, storedTheme, type Theme } from "../../theme/theme";
import { announce, Badge, buttonClass, cx, Icon, IconButton, type IconName, Menu, toast } from "../../ui";

export function InstanceSwitcher() {
  const { current, all, unknown } = useInstance();
  const navigate = useNavigate();
  const { id } = useParams({ strict: false });
  if (all.length === 0) return null;
  const choose = (instance: string) =>
    void (id === undefined
      ? navigate({ to: ".", search: ((before: object) => ({ ...before, instance })) as never })
      : // The page of an instance becomes the same page of the other one.
        navigate({ to: "/admin/instances/$id", params: { id: instance }, search: (({ tab }: { tab?: string }) => ({ tab, instance })) as never }));
  return (
    <Menu
      align="start"
      trigger={
        <button type="button" className={cx(buttonClass("secondary", "sm"), "h-8 max-w-56 min-w-0")} >
          <Icon name="cube" size={15} className="text-muted" />
          <span className="sr-only">Instance</span>
          <span className="truncate" title={current?.name ?? unknown}>{current?.name ?? unknown ?? "Choose an instance"}</span>
          {/* On a narrow page only the word that must never be overlooked has room; it is read at any width. */}
          {current !== undefined && (
            <span className={cx("shrink-0 text-xs font-normal text-muted", current.environment !== "production" && "max-sm:sr-only")}>{current.environment}</span>
          )}
          <Icon name="caretUpDown" size={13} className="text-muted" />
        </button>
      }
      entries={all.map((instance) => ({
        label: `${instance.name} · ${instance.environment}`,
        checked: instance.instance_id === current?.instance_id,
        onSelect: () => choose(instance.instance_id),
      }))}
    />
  );
}

export function Breadcrumb() {
  const crumbs = useMatches({
    select: (matches) =>
      matches.flatMap((match) => {
        const { crumb, under } = match.staticData;
        const params: Record<string, string | undefined> = match.params;
        if (crumb === undefined) return [];
        const above = under === undefined ? [] : [{ path: under.path, text: under.crumb }];
        return [...above, { path: match.pathname, text: crumb.replace(/\$(\w+)/, (_, name: string) => params[name] ?? "") }];
      }),
  });
  if (crumbs.length === 0) return null;
  return (
    <nav aria-label="Breadcrumb" className="hidden min-w-0 lg:block">
      <ol className="flex min-w-0 items-center gap-1.5 text-sm text-muted">
        {crumbs.map((crumb, at) => (
          <li key={crumb.path} className="flex min-w-0 items-center gap-1.5">
            {at > 0 && <Icon name="caretRight" size={12} />}
            {at === crumbs.length - 1 ? (
              <span aria-current="page" title={crumb.text} className="truncate text-text">
                {crumb.text}
              </span>
            ) : (
              <Link to={crumb.path as "/"} className="rounded-sm hover:text-text">
                {crumb.text}
              </Link>
            )}
          </li>
        ))}
      </ol>
    </nav>
  );
}

export function ConnectionBadge() {
  const { online } = useConnection();
  const paused = useRefreshPaused();
  return (
    <span className={online ? "hidden sm:inline-flex" : "inline-flex"} data-connection={online ? "online" : "offline"}>
      <Badge tone={!online ? "warn" : paused ? "neutral" : "good"} dot>
        {!online ? "Offline" : paused ? "Refresh paused" : "Connected"}
      </Badge>
    </span>
  );
}

/** Lists refresh by themselves; this stops them, and brings everything up to date when it starts them again. */
function useRefreshSwitch(): { label: string; icon: IconName; toggle: () => void } {
  const paused = useRefreshPaused();
  const client = useQueryClient();
  const toggle = () => {
    pauseRefresh(!paused);
    announce(paused ? "Refreshes by itself again" : "Refresh paused");
    if (paused) void client.invalidateQueries({ predicate: (query) => query.queryKey[0] !== "session" });
  };
  return paused ? { label: "Refresh by itself again", icon: "play", toggle } : { label: "Pause refreshing", icon: "pause", toggle };
}

export function RefreshSwitch() {
  const { label, icon, toggle } = useRefreshSwitch();
  return <IconButton icon={icon} label={label} className="max-sm:hidden" onClick={toggle} />;
}

const THEMES: { theme: Theme; label: string; icon: IconName }[] = [
  { theme: "light", label: "Light", icon: "sun" },
  { theme: "dark", label: "Dark", icon: "moon" },
  { theme: "system", label: "As the system", icon: "desktop" },
];

export function ThemeMenu() {
  const [theme, setTheme] = useState(storedTheme);
  const icon = THEMES.find((entry) => entry.theme === theme)?.icon ?? "desktop";
  return (
    <Menu
      trigger={<IconButton icon={icon} label="Theme" tooltip={false} />}
      entries={THEMES.map((entry) => ({
        label: entry.label,
        icon: entry.icon,
        checked: entry.theme === theme,
        onSelect: () => {
          applyTheme(entry.theme);
          setTheme(entry.theme);
        },
      }))}
    />
  );
}

export function UserMenu({ onShortcuts }: { onShortcuts: () => void }) {
  const session = useSession();
  const client = useQueryClient();
  const navigate = useNavigate();
  const refresh = useRefreshSwitch();
  if (session === null) {
    return (
      <Link to="/login" className={buttonClass("primary", "sm")}>
        Sign in
      </Link>
    );
  }
  const leave = async () => {
    try {
      const ended = await signOut(client);
      if (!ended) {
        toast({ tone: "warn", title: "Signed out of this browser only", text: "The server could not end the session now; end it later under Keys, Sessions." });
      }
      // Said on purpose, and the session is over: nothing that is not saved could be saved any more.
      await navigate({ to: "/login", ignoreBlocker: true });
    } catch (error) {
      toast({ tone: "bad", title: "Signing out failed", text: asApiError(error).message });
    }
  };
  return (
    <Menu
      trigger={<IconButton icon="userCircle" label={`Account of ${session.email}`} tooltip={false} />}
      header={
        <>
          <p className="font-medium break-all">{session.email}</p>
          <p className="text-muted">
            {session.role}
            {session.orgName !== null && ` · ${session.orgName}`}
          </p>
        </>
      }
      entries={[
        { label: "Your sessions", icon: "desktop", onSelect: () => void navigate({ to: "/admin/keys", search: { tab: "sessions" } }) },
        { label: refresh.label, icon: refresh.icon, onSelect: refresh.toggle },
        { label: "Keyboard shortcuts", icon: "keyboard", onSelect: onShortcuts },
        ...(session.environment === "local"
          ? [{ label: "Local storage explorer", icon: "arrowSquareOut" as const, onSelect: () => window.open("/cdn-cgi/explorer/", "_blank", "noopener") }]
          : []),
        null,
        { label: "Sign out", icon: "signOut", onSelect: () => void leave() },
      ]}
    />
  );
}

