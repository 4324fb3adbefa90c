import { expect, it } from "vitest";
import { dropped, flag, int, list, oneOf, parseSearch, searchOf, stringifySearch, text } from "./search";

const validate = searchOf({
  q: text,
  status: oneOf("active", "paused"),
  page: int(1, 100),
  all: flag,
  columns: list,
});

it("reads what the schema takes", () => {
  expect(validate(parseSearch("?q=a%20b&status=paused&page=7&all=1&columns=name,status"))).toEqual({
    q: "a b",
    status: "paused",
    page: 7,
    all: true,
    columns: ["name", "status"],
  });
});

it.each([
  ["?status=broken", "status"],
  ["?page=0", "page"],
  ["?page=seven", "page"],
  ["?page=1e9", "page"],
  ["?all=no", "all"],
  ["?columns=,", "columns"],
  ["?other=1", "other"],
  [`?q=${"x".repeat(501)}`, "q"],
])("drops %s and says so", (search, name) => {
  const raw = parseSearch(search);
  expect(validate(raw)).toEqual({});
  expect(dropped(raw, validate(raw))).toEqual([name]);
});

it("keeps a number in a text field a text", () => {
  expect(validate({ q: 123 })).toEqual({ q: "123" });
});

it("writes what it reads", () => {
  const search = { q: "a&b=c", status: "active" as const, page: 2, all: true as const, columns: ["name", "org"] };
  expect(validate(parseSearch(stringifySearch(search)))).toEqual(search);
  expect(stringifySearch({ q: "", page: undefined, all: false })).toBe("");
});
