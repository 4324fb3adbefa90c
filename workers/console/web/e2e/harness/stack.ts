/** The running system that the browser tests drive: one that is given, or one that they start. */
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export interface StackFacts {
  baseUrl: string;
  /** Keys by holder: `admin`, and with the test seed `superadmin`, `user`, `foreign`. */
  keys: Record<string, string>;
  ids: Record<string, string>;
  /** The simulator's control address, when there is one. */
  simControl: string | null;
  /** Where `/kill`, `/pause`, `/resume` are answered when the tests started the stack; `null` otherwise. */
  control: string | null;
}

export interface RunningStack {
  facts: StackFacts;
  stop: () => Promise<void>;
}

interface StackLine {
  base_url?: string;
  url?: string;
  keys?: Record<string, string>;
  key?: string;
  ids?: Record<string, string>;
  sim?: { control?: string };
  event?: string;
}

const ROOT = fileURLToPath(new URL("../../../../../", import.meta.url));

export async function runningStack(): Promise<RunningStack> {
  const given = process.env["SWITCHYARD_STACK"];
  if (given === undefined || given === "") return started();
  const line = JSON.parse(await readFile(given, "utf8")) as StackLine;
  return { facts: factsOf(line, null), stop: () => Promise.resolve() };
}

function factsOf(line: StackLine, control: string | null): StackFacts {
  const baseUrl = line.base_url ?? line.url;
  const keys = line.keys ?? (line.key === undefined ? {} : { admin: line.key });
  if (baseUrl === undefined || keys["admin"] === undefined) {
    throw new Error("the stack's JSON needs base_url and keys.admin, as `cargo x stack --json` prints them");
  }
  return {
    baseUrl: baseUrl.replace(/\/$/, ""),
    keys,
    ids: line.ids ?? {},
    simControl: line.sim?.control ?? null,
    control,
  };
}

async function started(): Promise<RunningStack> {
  const child = spawn("cargo", ["x", "stack", "--temp", "--json", "--seed-tests"], {
    cwd: ROOT,
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const waiting: ((line: StackLine) => void)[] = [];
  createInterface({ input: child.stdout }).on("line", (text) => {
    if (text.startsWith("{")) waiting.shift()?.(JSON.parse(text) as StackLine);
  });
  const nextLine = () => new Promise<StackLine>((resolve) => waiting.push(resolve));
  const first = await Promise.race([
    nextLine(),
    ended.then((code) => {
      throw new Error(`\`cargo x stack --temp --json\` ended with ${String(code)} before it was ready`);
    }),
  ]);

  const control = createServer((request, response) => {
    const command = (request.url ?? "").slice(1);
    if (!["kill", "pause", "resume"].includes(command)) {
      response.writeHead(404).end();
      return;
    }
    void nextLine().then((line) => response.end(JSON.stringify(line)));
    child.stdin.write(`${command}\n`);
  });
  await new Promise<void>((resolve) => control.listen(0, "127.0.0.1", resolve));
  const address = `http://127.0.0.1:${(control.address() as AddressInfo).port}`;
  return {
    facts: factsOf(first, address),
    stop: async () => {
      control.close();
      child.stdin.end();
      await ended;
    },
  };
}
