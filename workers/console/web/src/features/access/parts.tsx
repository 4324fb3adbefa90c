/** Small parts that the pages of users and keys share. */
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import type { ApiError } from "../../api/errors";
import { type Session, useSession } from "../../api/session";
import { Badge, EmptyState, ErrorState, Tooltip } from "../../ui";
import { type Caller, ROLE_WORD, STATES } from "./model";
import type { KeyState, Role } from "./types";

export function callerOf(session: Session | null): Caller {
  return {
    userId: session?.userId ?? "",
    keyId: session?.keyId ?? "",
    role: session?.role ?? "user",
    permissions: session?.permissions ?? [],
  };
}

export function useCaller(): Caller {
  return callerOf(useSession());
}

export function StateBadge({ state }: { state: KeyState }) {
  const { tone, word, means } = STATES[state];
  return (
    <Tooltip text={means}>
      <span>
        <Badge tone={tone} dot>
          {word}
        </Badge>
      </span>
    </Tooltip>
  );
}

export function RoleBadge({ role }: { role: Role }) {
  return <Badge tone={role === "user" ? "neutral" : "info"}>{ROLE_WORD[role]}</Badge>;
}

export function Chips({ items, none }: { items: readonly string[]; none: string }) {
  if (items.length === 0) return <span className="text-muted">{none}</span>;
  return (
    <span className="flex flex-wrap gap-1">
      {items.slice(0, 2).map((item) => (
        <Badge key={item}>{item}</Badge>
      ))}
      {items.length > 2 && (
        <Tooltip text={items.slice(2).join(", ")}>
          <span>
            <Badge>+{items.length - 2}</Badge>
          </span>
        </Tooltip>
      )}
    </span>
  );
}

/** A name that comes with another answer than its row: a place of its own width, so that its coming moves nothing. */
export function Late({ name, children }: { name: string | undefined; children: ReactNode }) {
  return (
    <span title={name} className="break-all md:inline-block md:w-44 md:break-normal md:truncate md:align-middle">
      {name ?? children}
    </span>
  );
}

/** The failure of a form, unless one of its fields shows it. */
export function FormError({ error, fields = [] }: { error: ApiError | null; fields?: readonly (string | undefined)[] }) {
  if (error === null || fields.some((field) => field !== undefined)) return null;
  return <ErrorState compact error={error} />;
}

export function NeedsScope({ scope, children }: { scope: string; children: ReactNode }) {
  return (
    <EmptyState icon="lock" title={`Your key lacks the scope ${scope}`} action={<Link to="/admin/keys" className="text-link underline underline-offset-2">Go to keys</Link>}>
      {children}
    </EmptyState>
  );
}
