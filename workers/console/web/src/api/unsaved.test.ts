import { expect, it } from "vitest";
import { endsWork } from "./unsaved";

it("ends with another page and another tab, not with a filter or a view", () => {
  const here = { pathname: "/admin/instances/production", search: { tab: "config" } };
  expect(endsWork(here, { ...here, search: { tab: "config", view: "json" } })).toBe(false);
  expect(endsWork(here, { ...here, search: { tab: "limits" } })).toBe(true);
  expect(endsWork(here, { ...here, search: {} })).toBe(true);
  expect(endsWork(here, { pathname: "/play", search: here.search })).toBe(true);
});
