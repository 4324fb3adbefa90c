//! `GET /price`.

use super::shown;
use crate::list::{Asker, List};
use crate::page::Page;
use api_types::Timestamp;
use auth::permission::{Operation, config_service};
use errors::{Error, Result};
use platform::{Rows, Statement};
use serde::Deserialize;
use serde_json::Value;
use store::control::prices::{self, ListFilter, PriceOverride};

const STATES: [&str; 3] = ["current", "future", "ended"];

/// Prices of the caller's instances and those for all instances of its organization, newest first.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PriceList {
    org_id: Option<String>,
    instance_id: Option<String>,
    provider: Option<String>,
    model: Option<String>,
    state: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

impl List for PriceList {
    type Filter = ListFilter;
    type Line = PriceOverride;
    const OPERATION: &'static Operation = &config_service::LIST_PRICES;

    fn asked(self, _now: Timestamp) -> Result<(Page, ListFilter)> {
        let filters = format!(
            "{:?} {:?} {:?} {:?} {:?}",
            self.org_id, self.instance_id, self.provider, self.model, self.state
        );
        let page = Page::ask(self.limit, self.cursor.as_deref(), &filters)?;
        if let Some(state) = &self.state
            && !STATES.contains(&state.as_str())
        {
            let rule = format!("must be one of {}", STATES.join(", "));
            return Err(Error::invalid_field("state", rule));
        }
        let filter = ListFilter {
            org_id: self.org_id,
            instance_id: self.instance_id,
            provider: self.provider,
            model: self.model,
            state: self.state,
            after: page.after_id(),
        };
        Ok((page, filter))
    }

    fn lines(asker: Asker<'_>, filter: &ListFilter, limit: i64) -> Statement {
        prices::list(asker.key, filter, asker.now, limit)
    }

    fn edge(asker: Asker<'_>, filter: &ListFilter) -> Option<Statement> {
        Some(prices::edge(asker.key, filter))
    }

    fn read(rows: &Rows) -> Result<Vec<PriceOverride>> {
        PriceOverride::read_all(rows)
    }

    fn position(price: &PriceOverride) -> Vec<String> {
        vec![price.price_id.to_string()]
    }

    fn shown(price: &PriceOverride, asker: Asker<'_>) -> Value {
        shown(price, asker.now)
    }
}
