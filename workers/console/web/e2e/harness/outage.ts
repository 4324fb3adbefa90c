/** Takes the console away under an open page, and brings it back. */
import { readFile, rm, writeFile } from "node:fs/promises";
import { expect } from "vitest";
import { stack } from "./index";

const DESCRIPTION = process.env["SWITCHYARD_STACK"] ?? "";
/** While it is there the runtime is not started again. A stack that was started by hand does not know it. */
const HOLD = `${DESCRIPTION}.hold`;

/** The runtime is killed as by `kill -9`; resolves when nothing answers any more. */
export async function takeDown(): Promise<void> {
  if (stack.control !== null) {
    await command("pause");
    return;
  }
  await writeFile(HOLD, "");
  // Read now: each start of the runtime has a group of its own.
  const { pgid } = JSON.parse(await readFile(DESCRIPTION, "utf8")) as { pgid?: number };
  if (pgid === undefined) throw new Error("this stack can be neither paused nor killed: its JSON has no pgid");
  process.kill(-pgid, "SIGKILL");
  await expect.poll(answers, { timeout: 10_000, interval: 50, message: "the runtime is away" }).toBe(false);
}

/** Resolves when the console answers again: on command, or because a stack restarts its runtime by itself. */
export async function bringUp(): Promise<void> {
  if (stack.control !== null) await command("resume");
  else await rm(HOLD, { force: true });
  await expect.poll(answers, { timeout: 90_000, interval: 200, message: "the stack answers again" }).toBe(true);
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
