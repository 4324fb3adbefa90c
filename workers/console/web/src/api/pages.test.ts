import { describe, expect, it } from "vitest";
import { allPages, findRow } from "./pages";

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

describe("a row that an address names", () => {
  const pageOf = (cursor: string | undefined) => {
    const at = Number(cursor ?? 0);
    return Promise.resolve({ items: [at * 2, at * 2 + 1], next_cursor: at < 3 ? String(at + 1) : null });
  };

  it("is found on whichever page it is", async () => {
    expect(await findRow(pageOf, (row) => row === 5, new AbortController().signal)).toBe(5);
  });

  it("that is nowhere is told as missing, and the search ends", async () => {
    await expect(findRow(pageOf, (row) => row === 99, new AbortController().signal)).rejects.toMatchObject({ status: 404, code: "not_found" });
    await expect(findRow(() => Promise.resolve({ items: [], next_cursor: "on" }), () => false, new AbortController().signal, 3)).rejects.toMatchObject({ code: "not_found" });
  });
});
