/** Lists by cursor: all pages that were loaded as one array, with what the table needs to load more. */
import { type QueryKey, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { ApiError, asApiError } from "./errors";

export interface CursorPage<Item> {
  items: Item[];
  next_cursor?: string | null | undefined;
}

export interface CursorList<Item> {
  /** `undefined` until the first page is there. */
  rows: Item[] | undefined;
  error: ApiError | null;
  /** Milliseconds since the epoch of the data; 0 without data. */
  updatedAt: number;
  hasMore: boolean;
  loadingMore: boolean;
  refreshing: boolean;
  loadMore: () => void;
  refresh: () => void;
}

export interface CursorListOptions<Item> {
  queryKey: QueryKey;
  fetchPage: (cursor: string | undefined, signal: AbortSignal) => Promise<CursorPage<Item>>;
  /** Milliseconds between refreshes while the tab is visible; never, unless said. */
  refetchInterval?: number;
  enabled?: boolean;
}

export function useCursorList<Item>(options: CursorListOptions<Item>): CursorList<Item> {
  const query = useInfiniteQuery({
    queryKey: options.queryKey,
    queryFn: ({ pageParam, signal }) => options.fetchPage(pageParam, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    refetchInterval: options.refetchInterval ?? false,
    enabled: options.enabled ?? true,
  });
  const rows = useMemo(() => query.data?.pages.flatMap((page) => page.items), [query.data]);
  return {
    rows,
    error: query.error === null ? null : asApiError(query.error),
    updatedAt: query.dataUpdatedAt,
    hasMore: query.hasNextPage,
    loadingMore: query.isFetchingNextPage,
    refreshing: query.isFetching && !query.isFetchingNextPage && query.data !== undefined,
    loadMore: () => void query.fetchNextPage(),
    refresh: () => void query.refetch(),
  };
}

export interface NamedRow<Item> {
  row: Item | undefined;
  /** Why it cannot be shown. */
  error: ApiError | null;
}

/** The row that an address names: of the loaded pages, else asked for by itself. */
export function useNamedRow<Item>(options: {
  id: string | undefined;
  rows: readonly Item[] | undefined;
  idOf: (row: Item) => string;
  queryKey: QueryKey;
  fetchRow: (id: string, signal: AbortSignal) => Promise<Item>;
}): NamedRow<Item> {
  const { id, rows, idOf, queryKey, fetchRow } = options;
  const loaded = id === undefined ? undefined : rows?.find((row) => idOf(row) === id);
  const wanted = id !== undefined && rows !== undefined && loaded === undefined;
  const query = useQuery({ queryKey, queryFn: ({ signal }) => fetchRow(id ?? "", signal), enabled: wanted });
  if (!wanted) return { row: loaded, error: null };
  return { row: query.data, error: query.error === null ? null : asApiError(query.error) };
}

/** A row of a list whose rows have no address of their own: page by page until it is there. */
export async function findRow<Item>(fetchPage: CursorListOptions<Item>["fetchPage"], is: (row: Item) => boolean, signal: AbortSignal, mostPages = 50): Promise<Item> {
  let cursor: string | undefined;
  for (let page = 0; page < mostPages; page += 1) {
    const { items, next_cursor: next } = await fetchPage(cursor, signal);
    const found = items.find(is);
    if (found !== undefined) return found;
    cursor = next ?? undefined;
    if (cursor === undefined) break;
  }
  throw new ApiError({ status: 404, code: "not_found", message: "It is not in this list, or no longer.", hint: "", requestId: "" });
}

/** Every row of a list, page by page, for an export: at most `most`, with progress, until `signal` says stop. */
export async function allPages<Item>(
  fetchPage: CursorListOptions<Item>["fetchPage"],
  signal: AbortSignal,
  onProgress: (rows: number) => void,
  most = 10_000,
): Promise<Item[]> {
  const rows: Item[] = [];
  let cursor: string | undefined;
  do {
    const page = await fetchPage(cursor, signal);
    signal.throwIfAborted();
    rows.push(...page.items);
    onProgress(Math.min(rows.length, most));
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined && rows.length < most);
  return rows.slice(0, most);
}
