/** Rows of a table as a file. */

export interface ExportColumn<Row> {
  id: string;
  value: (row: Row) => string | number | boolean | null | undefined;
}

/** CSV by RFC 4180. A cell that a spreadsheet would run as a formula gets a leading apostrophe. */
export function csv<Row>(columns: readonly ExportColumn<Row>[], rows: readonly Row[]): string {
  const lines = [columns.map((column) => cell(column.id)), ...rows.map((row) => columns.map((column) => cell(column.value(row))))];
  return `${lines.map((line) => line.join(",")).join("\r\n")}\r\n`;
}

function cell(value: string | number | boolean | null | undefined): string {
  if (value === null || value === undefined) return "";
  const text = String(value);
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** A JSON array of objects with the columns' ids as members. */
export function json<Row>(columns: readonly ExportColumn<Row>[], rows: readonly Row[]): string {
  const objects = rows.map((row) => Object.fromEntries(columns.map((column) => [column.id, column.value(row) ?? null])));
  return `${JSON.stringify(objects, null, 2)}\n`;
}

/** Hands a text to the browser as a download. */
export function download(name: string, type: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  // The download has read the address when the task after this one runs.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
