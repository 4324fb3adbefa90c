import { MutationObserver, QueryClient, QueryObserver } from "@tanstack/react-query";
import { expect, it } from "vitest";
import { ApiError } from "./errors";
import { keys } from "./keys";
import { writing } from "./write";

const conflict = new ApiError({ status: 412, code: "precondition_failed", message: "m", hint: "", requestId: "r" });

it("forgets what was sent with the form that sent it", async () => {
  const client = new QueryClient();
  const send = (body: { api_key: string }) => Promise.resolve(body.api_key.length);
  const form = new MutationObserver(client, writing(client, { write: "instance.create", send }));
  const leave = form.subscribe(() => undefined);
  await form.mutate({ api_key: "a-secret" });
  expect(client.getMutationCache().getAll()).toHaveLength(1);
  leave();
  await new Promise((later) => setTimeout(later, 1));
  expect(client.getMutationCache().getAll()).toEqual([]);
});

it("reads again what another one changed first, and before the conflict is shown", async () => {
  const client = new QueryClient();
  let version = 1;
  const page = new QueryObserver(client, { queryKey: keys.instance("production"), queryFn: () => Promise.resolve(version), staleTime: Number.POSITIVE_INFINITY });
  const leave = page.subscribe(() => undefined);
  await page.refetch();
  version = 2;
  const form = new MutationObserver(client, writing(client, { write: "instance.update", send: () => Promise.reject(conflict) }));
  await expect(form.mutate(undefined)).rejects.toBe(conflict);
  expect(client.getQueryData(keys.instance("production"))).toBe(2);
  leave();
});
