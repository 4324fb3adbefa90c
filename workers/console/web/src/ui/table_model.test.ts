import { expect, it } from "vitest";
import { type Column, compare, nextSort, sortingOf, toggled, visibilityOf } from "./table_model";

const columns: Column<unknown>[] = [
  { id: "name", header: "Name", cell: () => null, main: true },
  { id: "status", header: "Status", cell: () => null },
  { id: "org", header: "Organization", cell: () => null, hidden: true },
];

it("sorts ascending, descending, not at all", () => {
  expect(nextSort(undefined, "name")).toBe("name");
  expect(nextSort("status", "name")).toBe("name");
  expect(nextSort("name", "name")).toBe("-name");
  expect(nextSort("-name", "name")).toBeUndefined();
  expect(sortingOf("-name")).toEqual([{ id: "name", desc: true }]);
  expect(sortingOf("-")).toEqual([]);
});

it("compares numbers as numbers and texts with numbers in them as people do", () => {
  expect(["k10", "k9", "K1"].sort(compare)).toEqual(["K1", "k9", "k10"]);
  expect([10, 9, 100].sort(compare)).toEqual([9, 10, 100]);
});

it("shows the default columns, or the chosen ones and always the main one", () => {
  expect(visibilityOf(columns, undefined)).toEqual({ name: true, status: true, org: false });
  expect(visibilityOf(columns, ["org"])).toEqual({ name: true, status: false, org: true });
});

it("forgets the choice when it is the default again", () => {
  const chosen = toggled(columns, undefined, "org");
  expect(chosen).toEqual(["name", "status", "org"]);
  expect(toggled(columns, chosen, "org")).toBeUndefined();
});
