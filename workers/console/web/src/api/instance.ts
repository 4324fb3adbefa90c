/** The instance that the page is about: that of its path, else `?instance=`, else the first of the session. */
import { useParams, useSearch } from "@tanstack/react-router";
import { type InstanceRef, useSession } from "./session";

export interface CurrentInstance {
  /** `undefined` when there is none to choose. */
  current: InstanceRef | undefined;
  all: readonly InstanceRef[];
  /** Named in the address, and not one of the session's. */
  unknown: string | undefined;
}

export function useInstance(): CurrentInstance {
  const session = useSession();
  const { instance: chosen } = useSearch({ strict: false });
  const { id } = useParams({ strict: false });
  const instance = id ?? chosen;
  const all = session?.instances ?? [];
  const named = all.find((candidate) => candidate.instance_id === instance);
  return {
    current: named ?? (instance === undefined ? all[0] : undefined),
    all,
    unknown: instance !== undefined && named === undefined && session !== null ? instance : undefined,
  };
}
