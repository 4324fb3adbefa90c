// The budgets of the bundle, read from the build manifest: exit 1 over any of them.
import { readFile, readdir } from "node:fs/promises";
import { gzipSync } from "node:zlib";

const KB = 1000;
const dist = new URL("../dist/", import.meta.url);
const manifest = JSON.parse(await readFile(new URL(".vite/manifest.json", dist), "utf8").catch(() => {
  throw new Error("dist/ has no manifest; run `npm run build` first");
}));

const gzip = async (file) => gzipSync(await readFile(new URL(file, dist)), { level: 9 }).length;

/** Files of a chunk with all that it imports statically. */
function closure(name, found = new Set()) {
  const chunk = manifest[name];
  if (chunk === undefined || found.has(name)) return found;
  found.add(name);
  for (const imported of chunk.imports ?? []) closure(imported, found);
  return found;
}
const filesOf = (names) => [...new Set([...names].flatMap((name) => [manifest[name].file, ...(manifest[name].css ?? [])]))];
const sum = async (files) => {
  let total = 0;
  for (const file of files) total += await gzip(file);
  return total;
};

const entry = Object.keys(manifest).find((name) => manifest[name].isEntry);
const play = Object.keys(manifest).find((name) => name.includes("features/play/"));
if (entry === undefined || play === undefined) throw new Error("the manifest has no entry or no features/play");

const first = filesOf(new Set([...closure(entry), ...closure(play)]));
const scripts = Object.values(manifest).map((chunk) => chunk.file).filter((file) => file.endsWith(".js"));
const shared = new Set(filesOf(closure(entry)));
const fonts = (await readdir(new URL("assets/", dist))).filter((file) => file.endsWith(".woff2"));

const rows = [
  ["first load of /play, JavaScript", await sum(first.filter((file) => file.endsWith(".js"))), 230 * KB],
  ["first load of /play, CSS", await sum(first.filter((file) => file.endsWith(".css"))), 35 * KB],
  // The page, theme.js, the icon, the two calls of the shell.
  ["first load of /play, requests", first.length + fonts.length + 5, 14],
  ["all chunks, JavaScript", await sum([...new Set(scripts)]), 600 * KB],
];
for (const file of new Set(scripts)) {
  // What the entry itself loads is judged as a whole, above.
  if (!shared.has(file)) rows.push([`route chunk ${file.replace("assets/", "")}`, await gzip(file), 60 * KB]);
}

let over = 0;
for (const [what, value, limit] of rows) {
  const shown = limit < KB ? [`${value}`, `${limit}`] : [`${(value / KB).toFixed(1)} kB`, `${limit / KB} kB`];
  if (value > limit) over += 1;
  console.log(`${value > limit ? "OVER" : "ok  "} ${what}: ${shown[0]} of ${shown[1]}`);
}
for (const file of new Set(scripts)) {
  const text = await readFile(new URL(file, dist), "utf8");
  for (const word of ["shiki", "echarts"]) {
    if (!text.includes(word)) continue;
    over += 1;
    console.log(`OVER ${file} contains ${word}`);
  }
}
if (over > 0) process.exitCode = 1;
