import { fileURLToPath } from "node:url";

const TARGET = fileURLToPath(new URL("../../../../../target/test-report/", import.meta.url));

/** What failed tests leave: screenshot, HTML, console, request ids. */
export const REPORT = `${TARGET}browser/`;
/** Pictures of all pages. */
export const SCREENS = `${TARGET}screens/`;

export function fileName(text: string): string {
  return text.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-").replaceAll(/^-|-$/g, "").slice(0, 120);
}
