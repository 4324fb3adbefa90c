/** The instance that the page is about: that of its path, else `?instance=`, else the first of the session. */
import { useQuery } from "@tanstack/react-query";
import { useParams, useSearch } from "@tanstack/react-router";
import { configService, unwrap } from "./client";
import { keys } from "./keys";
import { allPages } from "./pages";
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
  const more = session?.instancesMore === true;
  const rest = useQuery({
    queryKey: keys.instances({ all: "refs" }),
    queryFn: ({ signal }) => readInstances(signal),
    enabled: more,
    staleTime: 60_000,
  });
  const all = (more ? rest.data : undefined) ?? session?.instances ?? [];
  return currentOf(id ?? chosen, all, session !== null && (!more || rest.data !== undefined));
}

/** `whole`: nobody has an instance that is not among `all`. */
export function currentOf(wanted: string | undefined, all: readonly InstanceRef[], whole: boolean): CurrentInstance {
  const named = all.find((candidate) => candidate.instance_id === wanted);
  return {
    current: named ?? (wanted === undefined ? all[0] : undefined),
    all,
    unknown: wanted !== undefined && named === undefined && whole ? wanted : undefined,
  };
}

/** Who a call is made as, where that is not the session. */
interface Identity {
  headers?: Record<string, string>;
  credentials?: "omit";
}

/** Every instance of the caller: a principal names 100 at most. */
export async function readInstances(signal: AbortSignal, identity: Identity = {}): Promise<InstanceRef[]> {
  const fetchPage = (cursor: string | undefined, stop: AbortSignal) =>
    unwrap(configService.GET("/instance", { ...identity, params: { query: { limit: 200, ...(cursor === undefined ? {} : { cursor }) } }, signal: stop }));
  const rows = await allPages(fetchPage, signal, () => undefined);
  return rows.map(({ instance_id, name, environment, status }) => ({ instance_id, name, environment: environment ?? "", status }));
}
