// Types of all workers' routes from `docs/openapi/*.json` into `src/api/generated`. Not committed, so they cannot drift.
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import openapiTS, { astToString } from "openapi-typescript";

const documents = new URL("../../../../docs/openapi/", import.meta.url);
const target = new URL("../src/api/generated/", import.meta.url);

const names = (await readdir(documents)).filter((name) => name.endsWith(".json")).sort();
if (names.length === 0) throw new Error("docs/openapi has no documents; run `cargo x openapi`");
await mkdir(target, { recursive: true });

const wanted = new Set(names.map((name) => name.replace(/\.json$/, ".d.ts")));
for (const old of await readdir(target)) if (!wanted.has(old)) await rm(new URL(old, target));

for (const name of names) {
  const text = astToString(await openapiTS(JSON.parse(await readFile(new URL(name, documents), "utf8"))));
  const file = new URL(name.replace(/\.json$/, ".d.ts"), target);
  // An equal file keeps its time, so a watching compiler does not start again.
  const before = await readFile(file, "utf8").catch(() => "");
  if (before !== text) await writeFile(file, text);
}
