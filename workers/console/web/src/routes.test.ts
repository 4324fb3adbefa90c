import { readFileSync, readdirSync } from "node:fs";
import { expect, it } from "vitest";
import pages from "./routes.json";

const folder = new URL("./routes/", import.meta.url);
const files = readdirSync(folder).filter((name) => name.endsWith(".tsx"));
const source = (name: string) => readFileSync(new URL(name, folder), "utf8");
const paths = files.flatMap((name) => [...source(name).matchAll(/^ {2}path: "(\/[^"]*)"/gm)].map((match) => ({ name, path: match[1] ?? "" })));

it("lists the first segments that the worker serves the application at", () => {
  const first = paths.map(({ path }) => path.split("/")[1] ?? "").filter((segment) => segment !== "");
  expect([...new Set(first)].sort()).toEqual([...pages].sort());
});

it("names each file by its path, and adds each to the tree", () => {
  const router = readFileSync(new URL("./router.tsx", import.meta.url), "utf8");
  for (const { name, path } of paths) {
    if (path !== "/") expect(name).toBe(`${path.slice(1).replaceAll("/", ".")}.tsx`);
    expect(router, name).toContain(`./routes/${name.replace(/\.tsx$/, "")}"`);
  }
});
