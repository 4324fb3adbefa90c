//! `/session`: who calls, and short-lived keys that act as another key.
//!
//! In scope: the principal's own document, signing in, one's sessions, ending one. Out of scope: cookies and the rules
//! of browsers (the console); verifying a session, which is that of any key.
//! One file a verb.

mod create;
mod end;
mod list;
mod who_am_i;

pub(crate) use create::create;
pub(crate) use end::end;
pub(crate) use list::SessionList;
pub(crate) use who_am_i::who_am_i;

use api_types::{AuthContext, KeyId};
use serde_json::{Value, json};
use store::control::sessions::SessionView;

/// The key that the caller acts as: its own, or the parent of its session. `None` for callers without a key.
fn acting_key(auth: &AuthContext) -> Option<&str> {
    auth.principal.strip_prefix("key:")
}

/// A session without anything of its secret. `own` is the caller's key.
fn shown(session: &SessionView, own: Option<&KeyId>) -> Value {
    json!({
        "session_id": session.session_id, "label": session.label, "key_id": session.parent_key_id,
        "user_id": session.user_id, "created_at": session.created_at, "last_used_at": session.last_used_at,
        "expires_at": session.expires_at, "current": own == Some(&session.session_id),
    })
}
