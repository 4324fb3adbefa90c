//! The name of a worker, as it stands in a path.

use api_types::InvalidId;
use serde::Deserialize;

/// 1 to 40 of a-z, 0-9 and inner hyphens.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct WorkerName(String);

impl WorkerName {
    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for WorkerName {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        if api_types::is_slug(&text) {
            Ok(Self(text))
        } else {
            Err(InvalidId {
                rule: "1 to 40 of a-z, 0-9 and inner hyphens",
            })
        }
    }
}
