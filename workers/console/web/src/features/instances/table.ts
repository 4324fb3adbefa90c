/** What a tab's table shows lives in the URL: its order, its columns, the row that is open. */
import { getRouteApi } from "@tanstack/react-router";
import type { TableState } from "../../ui";

const route = getRouteApi("/framed/admin/instances/$id");

export function useTableState(): { state: TableState; onState: (state: TableState) => void } {
  const { sort, columns } = route.useSearch();
  const navigate = route.useNavigate();
  return {
    state: { sort, columns },
    onState: (next) =>
      void navigate({ search: (old) => ({ ...old, sort: next.sort, columns: next.columns === undefined ? undefined : [...next.columns] }), replace: true }),
  };
}

/** The id of the open row; opening one is a step of its own, so Back closes it. */
export function useOpenRow(): [id: string | undefined, open: (id: string | undefined) => void] {
  const { entry } = route.useSearch();
  const navigate = route.useNavigate();
  return [entry, (id) => void navigate({ search: (old) => ({ ...old, entry: id }), replace: id === undefined })];
}
