import { expect, it } from "vitest";
import { currentOf } from "./instance";

const ref = (id: string) => ({ instance_id: id, name: id, environment: "production", status: "active" });
const all = [ref("a"), ref("b")];

it("is the one of the address, else the first", () => {
  expect(currentOf("b", all, true).current?.instance_id).toBe("b");
  expect(currentOf(undefined, all, true).current?.instance_id).toBe("a");
});

it("is called foreign only when all of them are known", () => {
  expect(currentOf("z", all, true)).toMatchObject({ current: undefined, unknown: "z" });
  expect(currentOf("z", all, false)).toMatchObject({ current: undefined, unknown: undefined });
});
