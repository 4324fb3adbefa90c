import { expect, it } from "vitest";
import { explain, sectionOf } from "./explain";

it("finds the section of a code in the committed reference", async () => {
  const found = await explain("rate_limited");
  expect(found?.parts.map((part) => part.title)).toEqual(["Meaning", "Cause", "Cure"]);
  expect(await explain("no_such_code")).toBeNull();
});

it("reads to the next section and no further", () => {
  const reference = "# Codes\n\n## a\n\n- Meaning: `x` is old.\n\n## ab\n\n- Meaning: other.\n";
  expect(sectionOf(reference, "a")).toEqual({ parts: [{ title: "Meaning", text: "x is old." }] });
  expect(sectionOf(reference, "ab")).toEqual({ parts: [{ title: "Meaning", text: "other." }] });
});
