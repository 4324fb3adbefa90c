import { expect, it } from "vitest";
import { ApiError, asApiError, errorFrom, retryAfter } from "./errors";

const body = {
  error: "invalid_config",
  message: "Two members are wrong.",
  hint: "Correct each member listed in details.problems.",
  details: { problems: [{ pointer: "/limits/rpm", rule: "is 1 to 10000" }, { field: "name", rule: "is required" }] },
  retry_after_ms: 13001,
  request_id: "0199a1c2-7c1e-7b5a-9d53-0c2f4f7e2a11",
};

it("reads the error body of a worker", () => {
  const error = errorFrom(400, JSON.stringify(body), new Headers(), "mine");
  expect(error).toMatchObject({
    status: 400,
    code: "invalid_config",
    message: "Two members are wrong.",
    retryAfterMs: 13001,
    requestId: body.request_id,
    docs: "/docs/errors#invalid_config",
  });
  expect(error.fieldError("/limits/rpm")).toBe("is 1 to 10000");
  expect(error.fieldError("/limits")).toBe("is 1 to 10000");
  expect(error.fieldError("/name")).toBe("is required");
  expect(error.fieldError("/lim")).toBeUndefined();
});

it("reads one field without a list, and a field path with dots", () => {
  const details = { field: "options[0].size", rule: "is one of 1024x1024" };
  const error = errorFrom(400, JSON.stringify({ ...body, error: "invalid_field", details }), new Headers(), "mine");
  expect(error.fields).toEqual([{ pointer: "/options/0/size", rule: "is one of 1024x1024" }]);
});

it.each(["", "<html>bad gateway</html>", "[]", "null", '{"error":{"message":"x"}}'])(
  "an answer that is no error body is told as such: %s",
  (text) => {
    const headers = new Headers({ "x-request-id": "theirs", "retry-after": "2" });
    const error = errorFrom(502, text, headers, "mine");
    expect(error).toMatchObject({ status: 502, code: "unreadable_answer", requestId: "theirs", retryAfterMs: 2000 });
    expect(error.fields).toEqual([]);
  },
);

it("reads Retry-After as seconds, as a date, and prefers the exact one", () => {
  const now = Date.parse("2026-11-27T10:00:00Z");
  expect(retryAfter(new Headers({ "retry-after": "3" }), now)).toBe(3000);
  expect(retryAfter(new Headers({ "retry-after": "Fri, 27 Nov 2026 10:00:05 GMT" }), now)).toBe(5000);
  expect(retryAfter(new Headers({ "retry-after": "3", "retry-after-ms": "2100" }), now)).toBe(2100);
  expect(retryAfter(new Headers({ "retry-after": "soon" }), now)).toBeUndefined();
  expect(retryAfter(new Headers(), now)).toBeUndefined();
});

it("keeps an ApiError and wraps everything else", () => {
  const error = errorFrom(400, JSON.stringify(body), new Headers(), "mine");
  expect(asApiError(error)).toBe(error);
  expect(asApiError(new TypeError("x is undefined"))).toBeInstanceOf(ApiError);
  expect(asApiError("text").message).toBe("The page failed: text");
});
