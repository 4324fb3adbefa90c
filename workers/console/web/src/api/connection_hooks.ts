import { useSyncExternalStore } from "react";
import { type Connection, connection, watchConnection } from "./connection";
import { refreshPaused, watchRefresh } from "./refresh";
import { type Waiting, waiting, watchWaiting } from "./reauth";

export function useConnection(): Connection {
  return useSyncExternalStore(watchConnection, connection);
}

export function useRefreshPaused(): boolean {
  return useSyncExternalStore(watchRefresh, refreshPaused);
}

/** The calls that wait for a new sign-in. */
export function useWaiting(): readonly Waiting[] {
  return useSyncExternalStore(watchWaiting, waiting);
}

/** Why writes are off, for `Button reason`; `undefined` while the console answers. */
export function useOfflineReason(): string | undefined {
  return useConnection().online ? undefined : "Offline: the console does not answer. Nothing can be changed until it does.";
}
