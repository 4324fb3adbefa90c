/** What a run of the deploy tool says, read into rows; what has another shape is shown as it is. */
import type { Json, Tone } from "../../ui";
import { isRecord } from "./model";
import type { Deployment } from "./queries";

export const DEPLOYMENT_STATUS: Readonly<Record<Deployment["status"], { tone: Tone; text: string }>> = {
  running: { tone: "info", text: "Running" },
  succeeded: { tone: "good", text: "Succeeded" },
  failed: { tone: "bad", text: "Failed" },
  rolled_back: { tone: "warn", text: "Rolled back" },
  rollback_blocked: { tone: "bad", text: "Rollback blocked" },
};

export interface PlannedAction {
  op: string;
  kind: string;
  name: string;
  /** "vars.LOG_LEVEL: INFO → WARN", one a changed member. */
  changes: readonly string[];
}

export interface JournalStep {
  step: string;
  state: string;
  at: string | null;
  note: string | null;
}

/** The actions of a plan of schema 1; `null` when it is none. */
export function plannedActions(plan: unknown): PlannedAction[] | null {
  if (!isRecord(plan) || !Array.isArray(plan["actions"])) return null;
  const actions = (plan["actions"] as readonly unknown[]).map((action) => {
    if (!isRecord(action)) return null;
    const { op, kind, name, fields } = action;
    if (typeof op !== "string" || typeof kind !== "string") return null;
    return { op, kind, name: typeof name === "string" ? name : "", changes: isRecord(fields) ? Object.entries(fields).map(([member, change]) => changeText(member, change)) : [] };
  });
  return actions.includes(null) ? null : (actions as PlannedAction[]);
}

/** The steps of a journal, in its order; `null` when its entries name none. */
export function journalSteps(journal: unknown): JournalStep[] | null {
  if (!Array.isArray(journal) || journal.length === 0) return null;
  const steps = (journal as readonly unknown[]).map((entry) => {
    if (!isRecord(entry)) return null;
    const step = entry["step"];
    const state = entry["state"] ?? entry["status"] ?? entry["event"];
    if ((typeof step !== "string" && typeof step !== "number") || typeof state !== "string") return null;
    return { step: String(step), state, at: textOf(entry["at"]), note: textOf(entry["note"] ?? entry["error"] ?? entry["message"]) };
  });
  return steps.includes(null) ? null : (steps as JournalStep[]);
}

/** The plain members of a result: names and texts; `null` when it is no object of plain members. */
export function resultFacts(result: unknown): { name: string; value: string }[] | null {
  if (!isRecord(result)) return null;
  const facts = Object.entries(result).flatMap(([name, value]) =>
    isRecord(value) ? Object.entries(value).map(([inner, one]) => ({ name: `${words(name)}: ${inner}`, value: one })) : [{ name: words(name), value }],
  );
  const plain = facts.map(({ name, value }) => ({ name, value: plainText(value) }));
  if (plain.length === 0 || plain.some(({ value }) => value === null)) return null;
  return plain.map(({ name, value }) => ({ name, value: value ?? "–" }));
}

function words(member: string): string {
  const text = member.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function changeText(member: string, change: unknown): string {
  if (!isRecord(change) || !("from" in change || "to" in change)) return member;
  const shown = (value: unknown) => (value === null || value === undefined ? "none" : typeof value === "string" ? value : JSON.stringify(value));
  return `${member}: ${shown(change["from"])} → ${shown(change["to"])}`;
}

function plainText(value: Json): string | null {
  if (typeof value === "object" && value !== null) return null;
  return value === null ? "–" : String(value);
}

function textOf(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}
