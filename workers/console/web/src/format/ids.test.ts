import { expect, it } from "vitest";
import { maskedKey, shortId } from "./ids";

it("leaves the middle of a long id out", () => {
  expect(shortId("0199a1c2-7c1e-7b5a-9d53-0c2f4f7e2a11")).toBe("0199a1c2…2a11");
  expect(shortId("production")).toBe("production");
});

it("shows the public part of a key only", () => {
  expect(maskedKey("4fGh7kQ2mZ0a", "kblb")).toBe("sy_4fGh…kblb");
  expect(maskedKey("4fGh7kQ2mZ0a", null)).toBe("sy_4fGh…");
});
