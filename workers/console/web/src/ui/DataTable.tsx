import { type RowData, useTable } from "@tanstack/react-table";
import { type ReactNode, type Ref, useMemo, useState } from "react";
import { plural } from "../format/bytes";
import { relativeTime } from "../format/time";
import { Button, IconButton } from "./Button";
import { cx } from "./cx";
import { ErrorState, type Failure } from "./ErrorState";
import { Skeleton, useNow } from "./feedback";
import { Icon } from "./icons";
import { Menu, type MenuEntry } from "./Menu";
import { type Column, columnDefs, features, nextSort, sortingOf, type TableState, toggled, visibilityOf } from "./table_model";
import { ExportMenu } from "./TableExport";

export type { Column, TableState } from "./table_model";

/** What `useCursorList` gives; a plain array of rows with `hasMore: false` does too. */
export interface Rows<Row> {
  rows: readonly Row[] | undefined;
  error?: Failure | null;
  hasMore?: boolean;
  loadingMore?: boolean;
  refreshing?: boolean;
  /** Milliseconds since the epoch of what is shown; 0 without data. */
  updatedAt?: number;
  loadMore?: () => void;
  refresh?: () => void;
}

export interface DataTableProps<Row extends RowData> {
  /** Names the table for screen readers and the exported file: "Instances". */
  caption: string;
  columns: readonly Column<Row>[];
  list: Rows<Row>;
  rowId: (row: Row) => string;
  /** Opens the row: its main cell becomes a link-like button, and Enter on the row does the same. */
  onOpen?: (row: Row) => void;
  /** The row's menu; the button names the row by `rowName`. */
  actions?: (row: Row) => readonly MenuEntry[];
  rowName?: (row: Row) => string;
  empty: ReactNode;
  /** Sort and columns in the URL; without it they live in the table. */
  state?: TableState;
  onState?: (state: TableState) => void;
  /** Loads all rows of the filter for an export (`allPages`); without it there is no export. */
  exportRows?: (signal: AbortSignal, onProgress: (rows: number) => void) => Promise<readonly Row[]>;
  ref?: Ref<HTMLDivElement>;
  /** Rows that are drawn differently: the one that is open. */
  selectedId?: string | undefined;
}

const NO_ROWS: readonly never[] = [];
const SKELETON_ROWS = 5;

// The roles are said although they are the elements' own: below 768 px the cells are drawn as blocks, and browsers then
// take the table out of the accessibility tree. The box is focusable because it scrolls.
/* eslint-disable jsx-a11y/no-redundant-roles, jsx-a11y/no-interactive-element-to-noninteractive-role, jsx-a11y/no-noninteractive-tabindex */

/** Rows with sorting, columns, export and actions; below 768 px each row is a card. */
export function DataTable<Row extends RowData>(props: DataTableProps<Row>) {
  const { caption, columns, list, rowId, onOpen, actions, rowName = rowId, empty, exportRows, ref, selectedId } = props;
  const [own, setOwn] = useState<TableState>({});
  const state = props.state ?? own;
  const change = (next: TableState) => (props.onState ?? setOwn)({ ...state, ...next });

  const defs = useMemo(() => columnDefs(columns), [columns]);
  const table = useTable({
    features,
    columns: defs,
    data: list.rows ?? (NO_ROWS as readonly Row[]),
    getRowId: rowId,
    state: { sorting: sortingOf(state.sort), columnVisibility: visibilityOf(columns, state.columns) },
  });
  const shown = columns.filter((column) => visibilityOf(columns, state.columns)[column.id]);
  const rows = table.getRowModel().rows;

  if (list.rows === undefined && list.error) {
    return (
      <div ref={ref} className="p-4">
        <ErrorState error={list.error} onRetry={list.refresh} retrying={list.refreshing ?? false} />
      </div>
    );
  }
  if (list.rows === undefined) {
    return (
      <div ref={ref} className="min-w-0" aria-busy data-table>
        <Loading columns={shown.length} />
      </div>
    );
  }
  if (rows.length === 0) return <div ref={ref}>{empty}</div>;

  return (
    <div ref={ref} className="min-w-0" data-table>
      {list.error && (
        <div className="p-3">
          <ErrorState compact error={list.error} onRetry={list.refresh} retrying={list.refreshing ?? false} />
        </div>
      )}
      <div className="sy-table-box" role="region" aria-label={caption} tabIndex={0}>
        <table role="table" className="sy-table">
          <caption className="sr-only">{caption}</caption>
          <thead role="rowgroup">
            <tr role="row">
              {shown.map((column) => (
                <Header key={column.id} column={column} sort={state.sort} onSort={() => change({ sort: nextSort(state.sort, column.id) })} />
              ))}
              {actions !== undefined && (
                <th role="columnheader" scope="col" className="sy-actions">
                  <span className="sr-only">Actions</span>
                </th>
              )}
            </tr>
          </thead>
          <tbody role="rowgroup">
            {rows.map((row) => (
              <DataRow
                key={row.id}
                row={row.original}
                columns={shown}
                name={rowName(row.original)}
                selected={row.id === selectedId}
                onOpen={onOpen === undefined ? undefined : () => onOpen(row.original)}
                actions={actions?.(row.original)}
              />
            ))}
          </tbody>
        </table>
      </div>
      <footer className="flex min-h-11 flex-wrap items-center justify-between gap-x-4 gap-y-1 border-t border-line px-3 py-1.5 text-sm text-muted sm:px-4">
        <span>
          {plural(rows.length, "row")}
          {list.hasMore && " loaded, more to come"}
          {list.hasMore && sortingOf(state.sort).length > 0 && "; sorted among the loaded rows"}
          <Updated at={list.updatedAt ?? 0} />
        </span>
        <span className="flex items-center gap-1">
          {list.hasMore && list.loadMore !== undefined && (
            <Button size="sm" onClick={list.loadMore} busy={list.loadingMore ?? false}>
              Load more
            </Button>
          )}
          <ColumnChooser columns={columns} state={state} onState={change} />
          {exportRows !== undefined && <ExportMenu caption={caption} columns={columns} exportRows={exportRows} />}
          {list.refresh !== undefined && (
            <IconButton icon="arrowClockwise" label="Refresh" size="sm" aria-busy={list.refreshing ?? false} onClick={list.refresh} />
          )}
        </span>
      </footer>
    </div>
  );
}

function Updated({ at }: { at: number }) {
  const now = useNow(5_000);
  return at === 0 ? null : <>, updated {relativeTime(at, now)}</>;
}

function Header<Row>({ column, sort, onSort }: { column: Column<Row>; sort: string | undefined; onSort: () => void }) {
  const direction = sort === column.id ? "ascending" : sort === `-${column.id}` ? "descending" : "none";
  return (
    <th
      role="columnheader"
      scope="col"
      aria-sort={column.value === undefined ? undefined : direction}
      className={column.align === "end" ? "text-right" : undefined}
    >
      {column.value === undefined ? (
        column.header
      ) : (
        <button
          type="button"
          onClick={onSort}
          className={cx("group inline-flex min-h-6 align-middle items-center gap-1 rounded-sm hover:text-text", column.align === "end" && "flex-row-reverse")}
        >
          {column.header}
          <Icon
            name={direction === "descending" ? "arrowDown" : direction === "ascending" ? "arrowUp" : "caretUpDown"}
            size={12}
            className={direction === "none" ? "opacity-0 group-hover:opacity-100 group-focus-visible:opacity-100" : ""}
          />
        </button>
      )}
    </th>
  );
}

interface DataRowProps<Row> {
  row: Row;
  columns: readonly Column<Row>[];
  name: string;
  selected: boolean;
  onOpen: (() => void) | undefined;
  actions: readonly MenuEntry[] | undefined;
}

function DataRow<Row>({ row, columns, name, selected, onOpen, actions }: DataRowProps<Row>) {
  return (
    <tr
      role="row"
      data-row
      tabIndex={-1}
      data-selected={selected || undefined}
      onKeyDown={(event) => {
        if (event.key === "Enter" && event.target === event.currentTarget) onOpen?.();
      }}
    >
      {columns.map((column) =>
        column.main === true ? (
          <th key={column.id} role="rowheader" scope="row" data-label={column.header} className="sy-main">
            {onOpen === undefined ? (
              column.cell(row)
            ) : (
              <button
                type="button"
                onClick={onOpen}
                className="min-h-6 max-w-full rounded-sm text-left font-medium text-text underline decoration-transparent underline-offset-2 hover:decoration-current"
              >
                {column.cell(row)}
              </button>
            )}
          </th>
        ) : (
          <td key={column.id} role="cell" data-label={column.header} className={column.align === "end" ? "sy-end" : undefined}>
            <div className="sy-value">{column.cell(row)}</div>
          </td>
        ),
      )}
      {actions !== undefined && (
        <td role="cell" className="sy-actions">
          {actions.length > 0 && (
            <Menu trigger={<IconButton icon="dotsThree" label={`Actions for ${name}`} size="sm" tooltip={false} />} entries={actions} />
          )}
        </td>
      )}
    </tr>
  );
}

/** No table yet: headings and footer whose place the rows decide would jump when they come. */
function Loading({ columns }: { columns: number }) {
  return (
    <>
      <span className="sr-only">Loading</span>
      <div aria-hidden="true">
        <div className="h-9 border-b border-line bg-sunken" />
        {Array.from({ length: SKELETON_ROWS }, (_, row) => (
          <div key={row} className="flex h-[2.875rem] items-center justify-between gap-6 overflow-hidden border-b border-line px-5 last:border-b-0">
            {Array.from({ length: columns }, (__, at) => (
              <Skeleton key={at} className={cx("h-4 shrink-0", at === 0 ? "w-36" : "w-20")} />
            ))}
          </div>
        ))}
      </div>
    </>
  );
}

interface ChooserProps<Row> {
  columns: readonly Column<Row>[];
  state: TableState;
  onState: (state: TableState) => void;
}

function ColumnChooser<Row>({ columns, state, onState }: ChooserProps<Row>) {
  const visible = visibilityOf(columns, state.columns);
  const entries = columns
    .filter((column) => column.main !== true)
    .map((column) => ({
      label: column.header,
      checked: visible[column.id] === true,
      onSelect: () => onState({ columns: toggled(columns, state.columns, column.id) }),
    }));
  if (entries.length < 2) return null;
  return <Menu trigger={<IconButton icon="columns" label="Columns" size="sm" tooltip={false} />} entries={entries} />;
}
