import { expect, it } from "vitest";
import { ApiError } from "../../api/errors";
import { signInFailure } from "./sign_in_failure";

const error = (status: number, code: string, details?: unknown) =>
  new ApiError({ status, code, message: "m", hint: "h", requestId: "r", details });

it("says beside the field why a key is refused", () => {
  expect(signInFailure(error(401, "auth_failed", { reason: "expired" })).field).toContain("expired");
  expect(signInFailure(error(401, "auth_failed", { reason: "what is this" })).field).toContain("not known");
  expect(signInFailure(error(401, "auth_failed")).field).toContain("not known");
  expect(signInFailure(error(403, "forbidden")).field).toContain("project");
});

it.each([
  [429, "too_many_auth_failures", false],
  [403, "csrf_rejected", false],
  [503, "config_unavailable", true],
  [502, "upstream_unavailable", true],
  [0, "network_error", true],
])("shows %i %s in a box, retry: %s", (status, code, retry) => {
  expect(signInFailure(error(status, code))).toMatchObject({ retry, shown: { status, code } });
  expect(signInFailure(error(status, code)).field).toBeUndefined();
});
