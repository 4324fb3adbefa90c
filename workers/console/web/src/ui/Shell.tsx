import { Link, type LinkProps } from "@tanstack/react-router";
import { type ReactNode, useState } from "react";
import { IconButton } from "./Button";
import { cx } from "./cx";
import { Drawer } from "./Dialog";
import { Icon, type IconName } from "./icons";

export interface Room {
  /** A page of the application, or with `href` a file of this origin. */
  to: { page: NonNullable<LinkProps["to"]> } | { href: string };
  label: string;
  icon: IconName;
}

export interface RoomGroup {
  title?: string;
  rooms: readonly Room[];
}

export interface ShellProps {
  groups: readonly RoomGroup[];
  /** At the foot of the sidebar. */
  foot?: ReactNode;
  /** In the header, from the left: the instance switcher, the breadcrumb. */
  start?: ReactNode;
  /** In the header, at the right. */
  end: ReactNode;
  /** Above the page: expiry, offline, a stripe. */
  banners?: ReactNode;
  children: ReactNode;
}

/** The frame of every page behind the sign-in: skip link, sidebar (a drawer below 768 px), header, main region. */
export function Shell({ groups, foot, start, end, banners, children }: ShellProps) {
  const [open, setOpen] = useState(false);
  return (
    <div className="flex min-h-dvh">
      <a
        href="#main"
        className="fixed top-2 left-2 z-80 -translate-y-16 rounded-md bg-accent px-3 py-2 font-medium text-on-accent focus:translate-y-0"
        onClick={(event) => {
          event.preventDefault();
          document.getElementById("main")?.focus();
        }}
      >
        Skip to content
      </a>
      <aside className="sticky top-0 hidden h-dvh w-60 shrink-0 flex-col border-r border-line bg-surface md:flex">
        <div className="flex h-14 items-center px-5">
          <Brand />
        </div>
        <Rooms groups={groups} />
        {foot !== undefined && <div className="border-t border-line px-5 py-3 text-xs text-muted">{foot}</div>}
      </aside>
      <div className="flex min-w-0 flex-1 flex-col">
        <header className="sticky top-0 z-30 flex h-14 items-center gap-2 border-b border-line bg-surface/95 px-3 backdrop-blur sm:px-5">
          <IconButton icon="list" label="Open the menu" tooltip={false} className="md:hidden" onClick={() => setOpen(true)} />
          <div className="flex min-w-0 flex-1 items-center gap-3">{start}</div>
          <div className="flex items-center gap-1">{end}</div>
        </header>
        {banners}
        <main id="main" tabIndex={-1} className="min-w-0 flex-1">
          {children}
        </main>
      </div>
      <Drawer open={open} onClose={() => setOpen(false)} title="Switchyard" side="left">
        <div className="-mx-5 -my-4">
          <Rooms groups={groups} onChoose={() => setOpen(false)} />
          {foot !== undefined && <div className="border-t border-line px-5 py-3 text-xs text-muted">{foot}</div>}
        </div>
      </Drawer>
    </div>
  );
}

const ROOM =
  "flex h-9 items-center gap-2.5 rounded-md px-2 text-base font-medium text-muted hover:bg-hover hover:text-text data-here:bg-selected data-here:text-text";

function Rooms({ groups, onChoose }: { groups: readonly RoomGroup[]; onChoose?: () => void }) {
  return (
    <nav aria-label="Main" className="flex min-h-0 flex-1 flex-col gap-5 overflow-y-auto px-3 py-3">
      {groups.map((group, at) => (
        <div key={group.title ?? at} className="flex flex-col gap-0.5">
          {group.title !== undefined && <p className="px-2 pb-1 text-xs font-medium text-muted">{group.title}</p>}
          <ul className="flex flex-col gap-0.5">
            {group.rooms.map(({ to, label, icon }) => (
              <li key={label}>
                {"page" in to ? (
                  <Link to={to.page} onClick={onChoose} activeProps={{ "data-here": "" }} className={ROOM}>
                    <Icon name={icon} size={18} />
                    {label}
                  </Link>
                ) : (
                  <a href={to.href} className={ROOM}>
                    <Icon name={icon} size={18} />
                    {label}
                  </a>
                )}
              </li>
            ))}
          </ul>
        </div>
      ))}
    </nav>
  );
}

/** The mark and the name. */
export function Brand({ large = false }: { large?: boolean }) {
  return (
    <span className={cx("inline-flex items-center gap-2.5 font-semibold tracking-tight", large ? "text-xl" : "text-lg")}>
      <svg viewBox="0 0 32 32" width={large ? 34 : 26} height={large ? 34 : 26} aria-hidden="true">
        <rect width="32" height="32" rx="8" className="fill-accent" />
        <path
          d="M8 22h4.5c3.5 0 3.5-12 7-12H24M8 10h4.5c1.2 0 2 1.4 2.6 3.2M19.5 22H24"
          fill="none"
          strokeWidth="2.6"
          strokeLinecap="round"
          className="stroke-on-accent"
        />
      </svg>
      Switchyard
    </span>
  );
}
