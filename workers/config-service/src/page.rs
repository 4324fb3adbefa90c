//! Pages of lists: how many lines, and a cursor that is bound to the filters it came with.

use auth::chain::sha256_hex;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use errors::{Code, Error, Result};
use platform::Rows;
use serde::Serialize;
use serde_json::{Value, json};
use store::control::walk;

const DEFAULT_LIMIT: i64 = 50;
const MAX_LIMIT: i64 = 200;

/// One page that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// Lines on it.
    pub limit: i64,
    /// Position of the last line before it.
    pub after: Option<Vec<String>>,
    filters: String,
    edge: Option<Vec<String>>,
}

impl Page {
    /// Checks `limit` and `cursor`; `filters` is any text that is the same for the same filters.
    ///
    /// # Errors
    /// 400 `invalid_field`, 400 `invalid_cursor`.
    pub(crate) fn ask(limit: Option<i64>, cursor: Option<&str>, filters: &str) -> Result<Self> {
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Error::invalid_field(
                "limit",
                format!("must be 1 to {MAX_LIMIT}"),
            ));
        }
        let filters: String = sha256_hex(filters.as_bytes()).chars().take(16).collect();
        let after = match cursor {
            None => None,
            Some(cursor) => {
                let (of, after): (String, Vec<String>) = B64
                    .decode(cursor)
                    .ok()
                    .and_then(|bytes| serde_json::from_slice(&bytes).ok())
                    .ok_or_else(invalid)?;
                if of != filters {
                    return Err(invalid());
                }
                Some(after)
            }
        };
        Ok(Self {
            limit,
            after,
            filters,
            edge: None,
        })
    }

    /// Where the walk stopped that looked for this page's lines: the next page begins there when this one is not full.
    #[must_use]
    pub(crate) fn within(self, edge: &Rows) -> Self {
        Self {
            edge: walk::read(edge),
            ..self
        }
    }

    /// The cursor of a position in the lines of these filters.
    pub(crate) fn cursor(&self, position: &[String]) -> String {
        B64.encode(json!([self.filters, position]).to_string())
    }

    /// The id that the page goes on after, in lists whose position is one id.
    pub(crate) fn after_id(&self) -> Option<String> {
        self.after.as_ref()?.first().cloned()
    }

    /// The same, in lists whose position is two texts.
    pub(crate) fn after_pair(&self) -> Option<(String, String)> {
        match self.after.as_deref()? {
            [first, second] => Some((first.clone(), second.clone())),
            _ => None,
        }
    }

    /// The answer. `lines` were read with one more than `limit`; `position` tells where a line stands.
    pub(crate) fn answer<T>(
        &self,
        mut lines: Vec<T>,
        position: impl Fn(&T) -> Vec<String>,
        show: impl Fn(&T) -> Value,
    ) -> Value {
        let more = lines.len() as i64 > self.limit;
        lines.truncate(self.limit as usize);
        let next = match lines.last() {
            Some(last) if more => Some(self.cursor(&position(last))),
            _ => self.edge.as_ref().map(|edge| self.cursor(edge)),
        };
        let items: Vec<Value> = lines.iter().map(show).collect();
        json!({"items": items, "next_cursor": next})
    }
}

/// A filter's value as it is written.
pub(crate) fn word<T: Serialize>(value: T) -> String {
    json!(value).as_str().unwrap_or_default().to_owned()
}

/// 400 `invalid_cursor`.
pub(crate) fn invalid() -> Error {
    Error::new(
        Code::InvalidCursor,
        "The cursor does not belong to these filters.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_belongs_to_its_filters() {
        let first = Page::ask(Some(2), None, "a").unwrap();
        let answer = first.answer(vec![1, 2, 3], |n| vec![n.to_string()], |n| json!(n));
        assert_eq!(answer["items"], json!([1, 2]));
        let cursor = answer["next_cursor"].as_str().unwrap();
        let next = Page::ask(Some(2), Some(cursor), "a").unwrap();
        assert_eq!(next.after.as_deref(), Some(&["2".to_owned()][..]));
        let wrong = Page::ask(Some(2), Some(cursor), "b").unwrap_err();
        assert_eq!(wrong.code, Code::InvalidCursor);
        assert!(Page::ask(Some(2), Some("?"), "a").is_err());
        assert!(Page::ask(Some(0), None, "a").is_err());
        assert_eq!(
            next.answer(vec![3], |n| vec![n.to_string()], |n| json!(n))["next_cursor"],
            Value::Null
        );
    }
}
