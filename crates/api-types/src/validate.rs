//! The rules of an instance's configuration: one pure function for config-service, scripts and console.

use crate::EditableConfig;
use serde::{Deserialize, Serialize};

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// JSON pointer into the configuration.
    pub pointer: String,
    /// The rule, in words.
    pub rule: String,
}

/// What the rules depend on besides the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidateContext {
    /// `ENVIRONMENT` is `local` or `test`.
    pub local: bool,
    /// A superadmin marked the instance as self-hosted.
    pub self_hosted: bool,
}

/// All broken rules of a configuration.
pub fn validate_config(_config: &EditableConfig, _context: ValidateContext) -> Vec<Problem> {
    Vec::new()
}
