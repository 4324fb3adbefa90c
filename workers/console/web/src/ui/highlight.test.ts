import { expect, it } from "vitest";
import { tokens } from "./highlight";

it("marks strings, numbers, words and comments", () => {
  expect(tokens('const a = "x"; // 1')).toEqual([
    { kind: "keyword", text: "const" },
    { kind: "plain", text: " a = " },
    { kind: "string", text: '"x"' },
    { kind: "plain", text: "; " },
    { kind: "comment", text: "// 1" },
  ]);
});

it.each(['{"n": 1.5, "s": "a\\"b", "t": true}', "curl -H 'X: it'\\''s' \\\n -d '#1'", "plain text", "", '"open'])(
  "loses nothing of %j",
  (code) => {
    expect(
      tokens(code)
        .map((token) => token.text)
        .join(""),
    ).toBe(code);
  },
);

it("takes no address for a comment", () => {
  expect(tokens("see x#y").some((token) => token.kind === "comment")).toBe(false);
});
