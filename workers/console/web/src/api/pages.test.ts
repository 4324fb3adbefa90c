import { expect, it } from "vitest";
import { allPages } from "./pages";

const page = (cursor: string | undefined) => {
  const from = Number(cursor ?? 0);
  const items = Array.from({ length: 40 }, (_, at) => from + at);
  return Promise.resolve({ items, next_cursor: from + 40 < 100 ? String(from + 40) : null });
};

it("reads all pages in order and tells how far it is", async () => {
  const progress: number[] = [];
  const rows = await allPages(page, new AbortController().signal, (count) => progress.push(count));
  expect(rows).toEqual(Array.from({ length: 120 }, (_, at) => at));
  expect(progress).toEqual([40, 80, 120]);
});

it("stops at the most that an export may hold", async () => {
  const rows = await allPages(page, new AbortController().signal, () => undefined, 50);
  expect(rows).toHaveLength(50);
});

it("stops when it is told to", async () => {
  const control = new AbortController();
  const reading = allPages(page, control.signal, () => control.abort(new Error("stopped")));
  await expect(reading).rejects.toThrow("stopped");
});
