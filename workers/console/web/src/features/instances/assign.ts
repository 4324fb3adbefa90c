/** Gives people access to an instance that exists, one call a person; what is done stays done when one fails. */
import { useState } from "react";
import { configService, unwrap } from "../../api/client";
import { type ApiError, asApiError } from "../../api/errors";
import { useIdempotencyKey, useWrite } from "../../api/write";
import { type Grant, grantsOf, type People } from "./create";

export interface Assign {
  busy: boolean;
  /** Ids and addresses of those who have it. */
  done: readonly string[];
  failed: { who: string; error: ApiError } | null;
  /** Whether everybody has it now. */
  run: (instance: { id: string; orgId: string | null }, people: People) => Promise<boolean>;
}

export function useAssign(): Assign {
  const { keyFor } = useIdempotencyKey();
  const [busy, setBusy] = useState(false);
  const [done, setDone] = useState<readonly string[]>([]);
  const [failed, setFailed] = useState<Assign["failed"]>(null);
  const give = useWrite({
    write: "access.replace",
    send: (path: { user_id: string; instance_id: string }) => unwrap(configService.PUT("/user/{user_id}/instance/{instance_id}", { params: { path } })),
  });
  const make = useWrite({
    write: "user.create",
    send: (body: { email: string; role: "user"; org_id?: string; instance_ids: string[] }) =>
      unwrap(configService.POST("/user", { body, headers: { "Idempotency-Key": keyFor(body) } })),
  });
  const one = ({ who, isNew }: Grant, { id, orgId }: { id: string; orgId: string | null }): Promise<unknown> =>
    isNew
      ? make.mutateAsync({ email: who, role: "user", ...(orgId === null ? {} : { org_id: orgId }), instance_ids: [id] })
      : give.mutateAsync({ user_id: who, instance_id: id });
  const run: Assign["run"] = async (instance, people) => {
    setBusy(true);
    try {
      for (const grant of grantsOf(people, done)) {
        try {
          await one(grant, instance);
        } catch (error) {
          setFailed({ who: grant.who, error: asApiError(error) });
          return false;
        }
        setDone((old) => [...old, grant.who]);
      }
      setFailed(null);
      return true;
    } finally {
      setBusy(false);
    }
  };
  return { busy, done, failed, run };
}
