import { expect, it } from "vitest";
import { safeNext } from "./next";

it.each(["/play", "/admin/instances/production?tab=limits#top", "/admin/keys?q=a%2Fb"])("goes to %s", (next) => {
  expect(safeNext(next)).toBe(next);
});

it.each([
  undefined,
  "",
  "play",
  "//evil.example",
  "///evil.example",
  "/\\evil.example",
  "/\t/evil.example",
  "/play\\..\\x",
  "\n//evil.example",
  "https://evil.example",
  "javascript:alert(1)",
  "data:text/html,x",
  "/login?next=/play",
])("refuses %j", (next) => {
  expect(safeNext(next)).toBe("/");
});
