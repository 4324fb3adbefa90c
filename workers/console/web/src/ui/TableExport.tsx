import { useRef, useState } from "react";
import { count, plural } from "../format/bytes";
import { Button, IconButton } from "./Button";
import { csv, download, json } from "./export";
import { Menu } from "./Menu";
import type { Column } from "./table_model";
import { toast } from "./Toast";

interface ExportMenuProps<Row> {
  caption: string;
  columns: readonly Column<Row>[];
  exportRows: (signal: AbortSignal, onProgress: (rows: number) => void) => Promise<readonly Row[]>;
}

/** Downloads all rows of the filter, page by page, with a count and a way to stop. */
export function ExportMenu<Row>({ caption, columns, exportRows }: ExportMenuProps<Row>) {
  const [rows, setRows] = useState<number | null>(null);
  const running = useRef<AbortController | null>(null);

  const start = async (format: "csv" | "json") => {
    const control = new AbortController();
    running.current = control;
    setRows(0);
    try {
      const all = await exportRows(control.signal, setRows);
      const exported = columns.flatMap((column) => (column.value === undefined ? [] : [{ id: column.id, value: column.value }]));
      const text = format === "csv" ? csv(exported, all) : json(exported, all);
      const name = `${caption.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-")}.${format}`;
      download(name, format === "csv" ? "text/csv" : "application/json", text);
      toast({ tone: "good", title: `${plural(all.length, "row")} exported`, text: name });
    } catch (error) {
      if (control.signal.aborted) return;
      toast({ tone: "bad", title: "The export failed", text: error instanceof Error ? error.message : String(error) });
    } finally {
      running.current = null;
      setRows(null);
    }
  };

  if (rows !== null) {
    return (
      <Button size="sm" icon="x" onClick={() => running.current?.abort()}>
        Stop at {count(rows)}
      </Button>
    );
  }
  return (
    <Menu
      trigger={<IconButton icon="download" label="Export" size="sm" tooltip={false} />}
      entries={[
        { label: "Export as CSV", onSelect: () => void start("csv") },
        { label: "Export as JSON", onSelect: () => void start("json") },
      ]}
    />
  );
}
