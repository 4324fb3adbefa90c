import { type ReactNode, useEffect } from "react";
import { cx } from "./cx";

export interface PageProps {
  /** The one `h1`. */
  title: string;
  /** One sentence: what this page is for. */
  lead?: ReactNode;
  actions?: ReactNode;
  /** Beside the title: a badge. */
  aside?: ReactNode;
  children: ReactNode;
}

/** Names the tab: `Users · Switchyard`. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Switchyard`;
  }, [title]);
}

export function Page({ title, lead, actions, aside, children }: PageProps) {
  useTitle(title);
  return (
    <div className="mx-auto flex w-full max-w-7xl flex-col gap-5 px-4 py-5 sm:px-7 sm:py-7">
      <div className="flex flex-wrap items-start justify-between gap-x-6 gap-y-3">
        <div className="flex min-w-0 flex-col gap-1">
          <div className="flex flex-wrap items-center gap-3">
            <h1 tabIndex={-1} className="min-w-0 text-xl font-semibold tracking-tight">
              {title}
            </h1>
            {aside}
          </div>
          {lead !== undefined && <p className="max-w-3xl text-base text-muted">{lead}</p>}
        </div>
        {actions !== undefined && <div className="flex flex-wrap items-center gap-2">{actions}</div>}
      </div>
      {children}
    </div>
  );
}

export interface PanelProps {
  title?: ReactNode;
  lead?: ReactNode;
  actions?: ReactNode;
  /** Without inner space: a table to the edges. */
  flush?: boolean;
  className?: string;
  children: ReactNode;
}

/** A bounded part of a page with a heading of its own. */
export function Panel({ title, lead, actions, flush = false, className, children }: PanelProps) {
  return (
    <section className={cx("flex min-w-0 flex-col rounded-lg border border-line bg-surface shadow-1", className)}>
      {title !== undefined && (
        <header className="flex flex-wrap items-center justify-between gap-x-4 gap-y-2 border-b border-line px-4 py-3 sm:px-5">
          <div className="flex min-w-0 flex-col">
            <h2 className="text-base font-semibold">{title}</h2>
            {lead !== undefined && <p className="text-sm text-muted">{lead}</p>}
          </div>
          {actions}
        </header>
      )}
      <div className={flush ? "min-w-0" : "min-w-0 px-4 py-4 sm:px-5"}>{children}</div>
    </section>
  );
}

export interface FactsProps {
  facts: readonly { name: string; value: ReactNode }[];
  columns?: 1 | 2 | 3;
}

/** Names and values, for details. */
export function Facts({ facts, columns = 2 }: FactsProps) {
  const grid = { 1: "", 2: "sm:grid-cols-2", 3: "sm:grid-cols-2 lg:grid-cols-3" }[columns];
  return (
    <dl className={cx("grid gap-x-6 gap-y-3.5", grid)}>
      {facts.map((fact) => (
        <div key={fact.name} className="flex min-w-0 flex-col gap-0.5">
          <dt className="text-sm text-muted">{fact.name}</dt>
          <dd className="min-w-0 text-base break-words">{fact.value}</dd>
        </div>
      ))}
    </dl>
  );
}
