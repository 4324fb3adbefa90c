/** Takes the console away under an open page, and brings it back. */
import { expect } from "vitest";
import { stack } from "./index";

/** The runtime is killed as by `kill -9`; resolves when nothing answers any more. */
export async function takeDown(): Promise<void> {
  if (stack.control !== null) {
    await command("pause");
    return;
  }
  if (stack.pgid === null) throw new Error("this stack can be neither paused nor killed: its JSON has no pgid");
  process.kill(-stack.pgid, "SIGKILL");
}

/** Resolves when the console answers again: on command, or because a stack restarts its runtime by itself. */
export async function bringUp(): Promise<void> {
  if (stack.control !== null) await command("resume");
  await expect.poll(answers, { timeout: 60_000, interval: 200, message: "the stack answers again" }).toBe(true);
}

async function command(name: string): Promise<void> {
  const answer = await fetch(`${stack.control ?? ""}/${name}`, { method: "POST" });
  if (!answer.ok) throw new Error(`the stack refused "${name}": ${answer.status}`);
}

async function answers(): Promise<boolean> {
  try {
    return (await fetch(`${stack.baseUrl}/health`)).ok;
  } catch {
    return false;
  }
}
