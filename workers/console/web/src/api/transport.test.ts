import { expect, it, vi } from "vitest";
import { sleep, transport, type TransportPorts } from "./transport";

const ORIGIN = "http://console.test";
const error = (code: string) => JSON.stringify({ error: code, message: "m", hint: "h" });

type Step = Response | Error | (() => Response);

function ports(steps: Step[], over: Partial<TransportPorts> = {}) {
  const sent: Request[] = [];
  const slept: number[] = [];
  const seen: boolean[] = [];
  let id = 0;
  const all: TransportPorts = {
    fetch: (request) => {
      sent.push(request);
      const step = steps.shift();
      if (step === undefined) throw new Error("one request too many");
      if (step instanceof Error) return Promise.reject(step);
      return Promise.resolve(typeof step === "function" ? step() : step);
    },
    sleep: (ms) => {
      slept.push(ms);
      return Promise.resolve();
    },
    newId: () => `id-${++id}`,
    observe: (answer) => seen.push(answer.online),
    signInAgain: () => Promise.resolve(false),
    ...over,
  };
  return { send: transport(all), sent, slept, seen, left: steps };
}

const get = (init: RequestInit = {}) => new Request(`${ORIGIN}/api/config-service/user`, init);
const post = () => get({ method: "POST", body: '{"email":"a@b"}', headers: { "Content-Type": "application/json" } });

it("marks a request as the console's and gives it an id", async () => {
  const { send, sent } = ports([new Response("{}")]);
  await send(post());
  expect(sent[0]?.headers.get("x-switchyard-console")).toBe("1");
  expect(sent[0]?.headers.get("x-request-id")).toBe("id-1");
  expect(await sent[0]?.text()).toBe('{"email":"a@b"}');
});

it.each([
  ["no answer", new TypeError("Failed to fetch")],
  ["503", new Response(error("database_unavailable"), { status: 503 })],
  ["502 upstream_unavailable", new Response(error("upstream_unavailable"), { status: 502 })],
])("repeats a read after %s, twice, with the same id", async (_, first) => {
  const second = new Response(error("config_unavailable"), { status: 503 });
  const { send, sent, slept } = ports([first, second, new Response("{}")]);
  expect((await send(get())).status).toBe(200);
  expect(slept).toEqual([500, 1_500]);
  expect(sent.map((request) => request.headers.get("x-request-id"))).toEqual(["id-1", "id-1", "id-1"]);
});

it("gives up after the third try and hands out the last answer, or throws without one", async () => {
  const busy = () => new Response(error("database_unavailable"), { status: 503 });
  const three = ports([busy, busy, busy]);
  expect((await three.send(get())).status).toBe(503);
  const gone = () => new TypeError("Failed to fetch");
  const down = ports([gone(), gone(), gone()]);
  await expect(down.send(get())).rejects.toMatchObject({ status: 0, code: "network_error", requestId: "id-1" });
  expect(down.seen).toEqual([false, false, false]);
});

it.each([
  ["502 of another kind", new Response(error("upstream_refused"), { status: 502 })],
  ["429", new Response(error("rate_limited"), { status: 429 })],
  ["404", new Response(error("not_found"), { status: 404 })],
])("does not repeat %s", async (_, answer) => {
  const { send, sent } = ports([answer]);
  await send(get());
  expect(sent).toHaveLength(1);
});

it("waits as long as the server asks, and not longer than a person would", async () => {
  const busy = (seconds: string) => new Response("", { status: 503, headers: { "retry-after": seconds } });
  const patient = ports([busy("3"), new Response("{}")]);
  await patient.send(get());
  expect(patient.slept).toEqual([3_000]);
  const long = ports([busy("60")]);
  expect((await long.send(get())).status).toBe(503);
  expect(long.slept).toEqual([]);
});

it.each(["POST", "PUT", "PATCH", "DELETE"])("never repeats a %s", async (method) => {
  const lost = ports([new TypeError("Failed to fetch")]);
  await expect(lost.send(get({ method }))).rejects.toMatchObject({ code: "network_error" });
  const busy = ports([new Response("", { status: 503 })]);
  expect((await busy.send(get({ method }))).status).toBe(503);
  expect([...lost.slept, ...busy.slept]).toEqual([]);
});

it("offers a refused write again after a new sign-in, with its body and a new id", async () => {
  const signInAgain = vi.fn(() => Promise.resolve(true));
  const { send, sent } = ports([new Response(error("auth_failed"), { status: 401 }), new Response("{}", { status: 201 })], { signInAgain });
  expect((await send(post())).status).toBe(201);
  expect(signInAgain).toHaveBeenCalledExactlyOnceWith(
    { method: "POST", path: "/api/config-service/user" },
    expect.objectContaining({ code: "auth_failed" }),
  );
  expect(await sent[1]?.text()).toBe('{"email":"a@b"}');
  expect(sent[1]?.headers.get("x-request-id")).toBe("id-2");
});

it("hands out the 401 when the person does not sign in", async () => {
  const { send, sent } = ports([new Response(error("auth_failed"), { status: 401 })]);
  const answer = await send(post());
  expect(answer.status).toBe(401);
  expect(await answer.text()).toContain("auth_failed");
  expect(sent).toHaveLength(1);
});

it.each([
  ["a call with a key of its own", get({ headers: { Authorization: "Bearer sy_x" } })],
  ["the session's own route", new Request(`${ORIGIN}/auth/session`)],
])("asks for no sign-in after a 401 of %s", async (_, request) => {
  const signInAgain = vi.fn(() => Promise.resolve(true));
  const { send } = ports([new Response(error("auth_failed"), { status: 401 })], { signInAgain });
  expect((await send(request)).status).toBe(401);
  expect(signInAgain).not.toHaveBeenCalled();
});

it("ends at once when the caller leaves", async () => {
  const control = new AbortController();
  const never = sleep(60_000, control.signal);
  control.abort(new DOMException("left", "AbortError"));
  await expect(never).rejects.toThrow("left");
  await expect(sleep(60_000, control.signal)).rejects.toThrow("left");
  const gone = ports([new DOMException("left", "AbortError")]);
  await expect(gone.send(get({ signal: control.signal }))).rejects.toThrow("left");
  expect(gone.seen).toEqual([]);
});
