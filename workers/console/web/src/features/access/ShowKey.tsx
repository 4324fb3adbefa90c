import { useQuery } from "@tanstack/react-query";
import { configService, unwrap } from "../../api/client";
import { keys } from "../../api/keys";
import { snippets } from "../../api/snippets";
import { Badge, Banner, CodeBlock, Facts, ShowOnce, Time, useNow } from "../../ui";

export interface NewSecret {
  kind: "created" | "rotated";
  apiKey: string;
  keyId: string;
  name: string;
  expiresAt: string | null;
  /** After a rotation: until when the old secret works; `null` when it ended. */
  oldEndsAt?: string | null;
}

const ASK_MS = 2_000;

/** A new secret with its deadlines, and a call that tests it: the badge turns green at its first use. */
export function ShowKey({ secret, onClose }: { secret: NewSecret; onClose: () => void }) {
  const state = useQuery({
    queryKey: [...keys.apiKey(secret.keyId), "first-use"],
    queryFn: ({ signal }) => unwrap(configService.GET("/api-key/{key_id}", { params: { path: { key_id: secret.keyId } }, signal })),
    refetchInterval: (query) => (query.state.data?.secret_first_used_at ? false : ASK_MS),
    gcTime: 0,
  });
  const used = state.data?.secret_first_used_at ?? null;
  return (
    <ShowOnce open title={secret.kind === "created" ? `Key “${secret.name}” created` : `Key “${secret.name}” rotated`} secret={secret.apiKey} onClose={onClose}>
      {secret.kind === "rotated" ? (
        <Deadlines oldEndsAt={secret.oldEndsAt ?? null} newEndsAt={secret.expiresAt} />
      ) : (
        <Facts facts={[{ name: "Works until", value: secret.expiresAt === null ? "It is revoked" : <Time at={secret.expiresAt} /> }]} />
      )}
      <div className="flex flex-col gap-2">
        <div className="flex flex-wrap items-center gap-2">
          <span className="text-sm font-medium">Test it</span>
          <span aria-live="off" data-first-use={used !== null}>
            {used === null ? (
              <Badge tone="neutral" dot>
                Not used yet
              </Badge>
            ) : (
              <Badge tone="good" dot>
                First used <Time at={used} relative />
              </Badge>
            )}
          </span>
        </div>
        <CodeBlock wrap what="test call" code={snippets({ method: "GET", path: "/api/config-service/session" }, location.origin).curl} />
        <p className="text-sm text-muted">With the key in the variable SWITCHYARD_KEY of your shell. This turns green after the first call.</p>
      </div>
    </ShowOnce>
  );
}

export function Deadlines({ oldEndsAt, newEndsAt }: { oldEndsAt: string | null; newEndsAt: string | null }) {
  const now = useNow();
  const over = oldEndsAt === null || Date.parse(oldEndsAt) <= now;
  return (
    <div className="flex flex-col gap-3" data-deadlines>
      <Facts
        facts={[
          { name: "Old secret works until", value: over ? "It ended" : <Deadline at={oldEndsAt} /> },
          { name: "New secret works until", value: newEndsAt === null ? "The key is revoked" : <Deadline at={newEndsAt} /> },
        ]}
      />
      {!over && <Banner title="Replace the old secret before it ends">Answers to calls with the old secret carry X-Key-Expires until then.</Banner>}
    </div>
  );
}

function Deadline({ at }: { at: string }) {
  return (
    <span className="flex flex-col">
      <Time at={at} />
      <span className="text-sm text-muted">
        <Time at={at} relative />
      </span>
    </span>
  );
}
