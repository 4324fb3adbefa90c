/** Why a key did not sign in, in words. Pure. */
import type { ApiError } from "../../api/errors";

export interface SignInFailure {
  /** The key itself is refused: beside its field. */
  field?: string;
  /** Everything else: a box with code, hint and request id. */
  shown: ApiError;
  /** Whether the same key may work in a moment. */
  retry: boolean;
}

const REASONS: Readonly<Record<string, string>> = {
  expired: "This key has expired. Ask an administrator for a new one.",
  revoked: "This key was revoked. Ask an administrator for a new one.",
  disabled: "The user of this key is disabled. Ask an administrator.",
  malformed: "This is not an API key. Copy the whole key.",
};
const UNKNOWN = "This key is not known here. It may be revoked, expired, or of another installation.";

export function signInFailure(error: ApiError): SignInFailure {
  if (error.status === 401) {
    const reason = error.details["reason"];
    return { field: (typeof reason === "string" ? REASONS[reason] : undefined) ?? UNKNOWN, shown: error, retry: false };
  }
  if (error.status === 403 && error.code === "forbidden") {
    const field = "This is a project's key. A project's key works in the key field of the playground; sign in with a user's key.";
    return { field, shown: error, retry: false };
  }
  return { shown: error, retry: error.status === 0 || error.status >= 500 };
}
