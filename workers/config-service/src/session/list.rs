//! `GET /session/list`: live sessions.

use super::shown;
use crate::list::{Asker, List};
use crate::page::Page;
use api_types::Timestamp;
use auth::permission::{Operation, config_service};
use errors::Result;
use platform::{Rows, Statement};
use serde::Deserialize;
use serde_json::Value;
use store::control::sessions::{self, SessionView};

/// The caller's live sessions, newest first; with `user_id` those of that user, for administrators.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SessionList {
    user_id: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// Whose sessions, and after which one.
pub(crate) struct Filter {
    user_id: Option<String>,
    after: Option<(String, String)>,
}

impl List for SessionList {
    type Filter = Filter;
    type Line = SessionView;
    const OPERATION: &'static Operation = &config_service::LIST_SESSIONS;

    fn asked(self, _now: Timestamp) -> Result<(Page, Filter)> {
        let filters = format!("sessions {:?}", self.user_id);
        let page = Page::ask(self.limit, self.cursor.as_deref(), &filters)?;
        let filter = Filter {
            user_id: self.user_id,
            after: page.after_pair(),
        };
        Ok((page, filter))
    }

    fn lines(asker: Asker<'_>, filter: &Filter, limit: i64) -> Statement {
        let user_id = filter.user_id.as_deref();
        let after = filter.after.as_ref();
        let after = after.map(|(created_at, session_id)| (&**created_at, &**session_id));
        sessions::list(asker.key, user_id, after, asker.now, limit)
    }

    fn read(rows: &Rows) -> Result<Vec<SessionView>> {
        SessionView::read_all(rows)
    }

    fn position(session: &SessionView) -> Vec<String> {
        vec![
            session.created_at.to_string(),
            session.session_id.to_string(),
        ]
    }

    fn shown(session: &SessionView, asker: Asker<'_>) -> Value {
        shown(session, Some(asker.key))
    }
}
