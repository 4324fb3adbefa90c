import { describe, expect, it } from "vitest";
import { ApiError } from "../../api/errors";
import { againOf, amend, begin, belongs, finish, type Held, heldRun, jobOf, keptOf, ownKept } from "./held";
import { emptyForm, type GenerateRequest, type GenerateResponse } from "./model";

const form = { ...emptyForm, prompt: "a cat" };
const body = { prompt: "a cat" } as GenerateRequest;
const start = () => begin({ owner: "ada", form, once: { key: "k", content: "c" }, body, instanceId: "production" });
const made = { job_id: "j1" } as GenerateResponse;
const refused = (code: string, status: number, details: unknown = {}) => new ApiError({ code, status, details, message: "m", hint: "", requestId: "r" });

function failed(error: ApiError): Held {
  const run = start();
  amend(run.run, { phase: { is: "refused", sent: run.phase.sent, error } });
  return heldRun() ?? run;
}

describe("a run", () => {
  it("takes its answer while nobody looks", () => {
    const run = start();
    expect(keptOf(run)).toMatchObject({ open: true, job: undefined, once: { key: "k" } });
    finish(run, made, []);
    const after = heldRun();
    expect(after?.phase.is).toBe("made");
    expect(after === null ? null : keptOf(after)).toMatchObject({ open: false, job: "j1", once: null, form, body });
  });

  it("does not touch the one that began after it", () => {
    const old = start();
    const next = start();
    finish(old, made, []);
    expect(heldRun()).toBe(next);
  });

  it("is open only while its outcome is not known and no job is named", () => {
    expect(keptOf(failed(refused("network_error", 0))).open).toBe(true);
    expect(keptOf(failed(refused("auth_failed", 401))).open).toBe(false);
    const watched = failed(refused("provider_timeout", 504, { job_id: "j2" }));
    expect(jobOf(watched)).toBe("j2");
    expect(keptOf(watched).open).toBe(false);
  });
});

describe("asking what became of a request", () => {
  it("sends what was sent, whatever the form says meanwhile", () => {
    const lost = failed(refused("network_error", 0));
    const again = { form, body, instanceId: "production", once: { key: "k", content: "c" } };
    expect(againOf(lost, undefined)).toEqual(again);
    expect(againOf(null, keptOf(lost))).toEqual(again);
  });

  it("is not possible while it is under way, and when its outcome is known", () => {
    const run = start();
    expect(againOf(run, undefined)).toBeNull();
    finish(run, made, []);
    expect(againOf(heldRun(), undefined)).toBeNull();
    expect(againOf(null, { ...keptOf(run), once: null })).toBeNull();
    expect(againOf(null, undefined)).toBeNull();
  });
});

describe("an entry of the history", () => {
  const run = start();
  const entry = (kept: Held | undefined, job?: string) => ({ kept: kept === undefined ? undefined : keptOf(kept), job });

  it("shows its own run, and a run when it shows nothing else", () => {
    expect(belongs(run, "ada", entry(run))).toBe(true);
    expect(belongs(run, "ada", entry(undefined))).toBe(true);
  });

  it("shows neither the run of another entry, nor another job, nor another person's", () => {
    expect(belongs(run, "ada", entry(start()))).toBe(false);
    expect(belongs(run, "ada", entry(undefined, "j9"))).toBe(false);
    expect(belongs(run, "bob", entry(run))).toBe(false);
  });

  it("tells another person neither the prompt nor the request", () => {
    expect(ownKept(keptOf(run), "ada")?.form.prompt).toBe("a cat");
    expect(ownKept(keptOf(run), "bob")).toBeUndefined();
    expect(ownKept(keptOf(run), "")).toBeUndefined();
    expect(ownKept(undefined, "ada")).toBeUndefined();
  });
});
