//! `GET /api-key`.

use super::shown;
use crate::list::{Asker, List};
use crate::page::Page;
use api_types::{AuthContext, Timestamp};
use auth::permission::{Operation, Target, config_service};
use errors::{Error, Result};
use platform::{Rows, Statement};
use serde::Deserialize;
use serde_json::Value;
use store::control::api_keys::{self, KeyState, KeyView, ListFilter};

/// Most of `unused_days`: ten years.
const MAX_UNUSED_DAYS: u32 = 3_650;

/// The keys that the caller may see, newest first; a project key sees itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyList {
    user_id: Option<String>,
    project_id: Option<String>,
    status: Option<KeyState>,
    unused_days: Option<u32>,
    limit: Option<i64>,
    cursor: Option<String>,
}

impl List for KeyList {
    type Filter = ListFilter;
    type Line = KeyView;
    const OPERATION: &'static Operation = &config_service::LIST_API_KEYS;

    fn asked(self, now: Timestamp) -> Result<(Page, ListFilter)> {
        let filters = format!(
            "{:?} {:?} {:?} {:?}",
            self.user_id, self.project_id, self.status, self.unused_days
        );
        let page = Page::ask(self.limit, self.cursor.as_deref(), &filters)?;
        if self.unused_days.is_some_and(|days| days > MAX_UNUSED_DAYS) {
            return Err(Error::invalid_field(
                "unused_days",
                format!("must be 0 to {MAX_UNUSED_DAYS}"),
            ));
        }
        let filter = ListFilter {
            user_id: self.user_id,
            project_id: self.project_id,
            status: self.status,
            unused_since: self
                .unused_days
                .map(|days| now.plus_ms(-86_400_000 * i64::from(days)).to_string()),
            after: page.after_pair(),
        };
        Ok((page, filter))
    }

    fn lines(asker: Asker<'_>, filter: &ListFilter, limit: i64) -> Statement {
        api_keys::list(asker.key, filter, asker.now, limit)
    }

    fn edge(asker: Asker<'_>, filter: &ListFilter) -> Option<Statement> {
        api_keys::edge(asker.key, filter)
    }

    fn target(auth: &AuthContext) -> Target {
        Target {
            key_id: auth.key.as_ref().map(|key| key.key_id.clone()),
            ..Target::default()
        }
    }

    fn read(rows: &Rows) -> Result<Vec<KeyView>> {
        KeyView::read_all(rows)
    }

    fn position(key: &KeyView) -> Vec<String> {
        vec![key.created_at.to_string(), key.key_id.to_string()]
    }

    fn shown(key: &KeyView, asker: Asker<'_>) -> Value {
        shown(key, asker.now)
    }
}
