/** What a table shows and how it is ordered: pure, over TanStack Table. */
import {
  type ColumnDef,
  columnVisibilityFeature,
  createSortedRowModel,
  type RowData,
  rowSortingFeature,
  tableFeatures,
} from "@tanstack/react-table";
import type { ReactNode } from "react";

export const features = tableFeatures({
  columnVisibilityFeature,
  rowSortingFeature,
  sortedRowModel: createSortedRowModel(),
});

export type Plain = string | number | boolean | null | undefined;

export interface Column<Row> {
  /** In the URL, in exports, in the column chooser. */
  id: string;
  header: string;
  cell: (row: Row) => ReactNode;
  /** For sorting and export; without it the column has neither. */
  value?: (row: Row) => Plain;
  align?: "start" | "end";
  /** Shown only when it is chosen. */
  hidden?: boolean;
  /** The row's name: heads the row for screen readers, and the card on a phone. Exactly one column has it. */
  main?: boolean;
}

/** Lives in the URL: `sort=-created_at`, `columns=name,status`. */
export interface TableState {
  /** Column id, with `-` in front for descending. */
  sort?: string | undefined;
  /** Ids of the shown columns; the default set when not given. */
  columns?: readonly string[] | undefined;
}

export function columnDefs<Row extends RowData>(columns: readonly Column<Row>[]): ColumnDef<typeof features, Row>[] {
  return columns.map((column) => ({
    id: column.id,
    header: column.header,
    // `undefined` and not null: the library keeps those last in both directions.
    accessorFn: (row: Row) => column.value?.(row) ?? undefined,
    enableSorting: column.value !== undefined,
    sortUndefined: "last" as const,
    sortFn: (a: { original: Row }, b: { original: Row }) => compare(column.value?.(a.original), column.value?.(b.original)),
  }));
}

export function compare(a: Plain, b: Plain): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a ?? "").localeCompare(String(b ?? ""), "en", { numeric: true });
}

export function sortingOf(sort: string | undefined): { id: string; desc: boolean }[] {
  if (sort === undefined || sort === "" || sort === "-") return [];
  return sort.startsWith("-") ? [{ id: sort.slice(1), desc: true }] : [{ id: sort, desc: false }];
}

/** Ascending, descending, none. */
export function nextSort(sort: string | undefined, id: string): string | undefined {
  if (sort === id) return `-${id}`;
  return sort === `-${id}` ? undefined : id;
}

export function visibilityOf<Row>(columns: readonly Column<Row>[], chosen: readonly string[] | undefined): Record<string, boolean> {
  return Object.fromEntries(
    columns.map((column) => [column.id, column.main === true || (chosen?.includes(column.id) ?? column.hidden !== true)]),
  );
}

/** The chosen columns with one shown or hidden; `undefined` when it is the default set again. */
export function toggled<Row>(columns: readonly Column<Row>[], chosen: readonly string[] | undefined, id: string): string[] | undefined {
  const before = visibilityOf(columns, chosen);
  const after = columns.filter((column) => (column.id === id ? !before[id] : before[column.id])).map((column) => column.id);
  const usual = columns.filter((column) => column.main === true || column.hidden !== true).map((column) => column.id);
  return after.join() === usual.join() ? undefined : after;
}
