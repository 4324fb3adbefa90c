import { QueryClient } from "@tanstack/react-query";
import { expect, it } from "vitest";
import { invalidate, invalidations, keys } from "./keys";

const first = new Set(
  Object.values(keys).map((key) => (typeof key === "function" ? (key as (...parts: string[]) => readonly unknown[])("a", "b")[0] : key[0])),
);

it("names only lists that have a key", () => {
  for (const [write, lists] of Object.entries(invalidations)) {
    for (const list of lists) expect(first, write).toContain(list);
  }
});

it("marks each filter, page and detail of a list old, and nothing else", async () => {
  const client = new QueryClient();
  const touched = [keys.users({ q: "a" }), keys.users(), keys.user("u1"), keys.access()];
  const untouched = [keys.session, keys.instances(), keys.apiKeys()];
  for (const key of [...touched, ...untouched]) client.setQueryData(key, {});
  await invalidate(client, "user.create");
  expect(touched.map((key) => client.getQueryState(key)?.isInvalidated)).toEqual([true, true, true, true]);
  expect(untouched.map((key) => client.getQueryState(key)?.isInvalidated)).toEqual([false, false, false]);
});
