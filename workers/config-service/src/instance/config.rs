//! A configuration as people send it: all of its faults at once.
//!
//! In scope: derived members, unknown members, types, rules. Out of scope: the rules themselves
//! (`api_types::validate_config`, `provider_adapters::check_config`).

use crate::effective::settings_of;
use crate::patch::SET_BY_NOBODY;
use api_types::{
    ADAPTERS, EditableConfig, MAX_CONFIG_BYTES, NO_PROVIDER, Problem, ProviderName,
    ValidateContext, unknown_members, validate_config,
};
use errors::{Code, Error, Result};
use middleware::parse_json;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Sets `api_keys` of an instance that exists.
pub(crate) const PROVIDER_KEY_ROUTE: &str = "PUT /instance/{instance_id}/provider-key/{provider}";
/// Members of the flat answer that are derived, and the route that sets each.
pub(crate) const DERIVED: [(&str, &str); 10] = [
    ("worker_urls", "PUT /instance/{instance_id}/worker-urls"),
    (
        "authorized_users",
        "PUT /user/{user_id}/instance/{instance_id}",
    ),
    ("config_version", "none: it counts the changes"),
    ("version", "none: it counts the changes"),
    ("instance_id", "none: an id stays"),
    ("org_id", "none: an instance stays in its organization"),
    ("status", "PUT /instance/{instance_id}/status"),
    ("paused_reason", "POST /instance/{instance_id}/pause"),
    ("created_at", "none: it happened"),
    ("updated_at", "none: it is the time of the last change"),
];
/// Begins the place of a route where there is none; the rest says why.
const NO_ROUTE: &str = "none: ";
const DERIVED_OF_PROVIDERS: [&str; 2] = ["credential_id", "credential_state"];

/// What is wrong with a request's body, gathered before any of it is told. Pointers are those of the flat instance.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    read_only: Vec<(Problem, String)>,
    unknown: Vec<Problem>,
    invalid: Vec<Problem>,
    broken: Vec<Problem>,
}

fn problem(pointer: impl Into<String>, rule: impl Into<String>) -> Problem {
    Problem {
        pointer: pointer.into(),
        rule: rule.into(),
    }
}

/// `/providers/openai/base_url` as `providers.openai.base_url`.
fn dotted(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

impl Faults {
    /// A member that another route sets.
    pub(crate) fn read_only(&mut self, pointer: impl Into<String>, route: &str) {
        let rule = match route.strip_prefix(NO_ROUTE) {
            Some(why) => format!("is derived: {why}"),
            None => format!("is derived; set by {route}"),
        };
        self.read_only
            .push((problem(pointer, rule), route.to_owned()));
    }

    /// A member that there is not.
    pub(crate) fn unknown(&mut self, pointer: impl Into<String>, rule: impl Into<String>) {
        self.unknown.push(problem(pointer, rule));
    }

    /// A member of the wrong form.
    pub(crate) fn invalid(&mut self, pointer: impl Into<String>, rule: impl Into<String>) {
        self.invalid.push(problem(pointer, rule));
    }

    /// The same, as an error tells it; other errors are passed on.
    ///
    /// # Errors
    /// What is no fault of one member.
    pub(crate) fn take(&mut self, pointer: &str, error: Error) -> Result<()> {
        match (
            error.code,
            error.details.get("rule").and_then(Value::as_str),
        ) {
            (Code::InvalidField, Some(rule)) => {
                self.invalid(pointer, rule);
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// Whether nothing is wrong yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.read_only.is_empty()
            && self.unknown.is_empty()
            && self.invalid.is_empty()
            && self.broken.is_empty()
    }

    /// Broken rules.
    pub(crate) fn broken(&mut self, problems: impl IntoIterator<Item = Problem>) {
        self.broken.extend(problems);
    }

    /// Lets broken rules pass that were broken before, by a value that stays as it was: what holds for configurations
    /// may change, and who edits another member is not to be kept from it. Answers what they are.
    pub(crate) fn forgive(&mut self, before: &Self, was: &Value, is: &Value) -> Vec<Problem> {
        // The rule also tells which providers there are, and of those another part of the edit may add one.
        let rule = |problem: &Problem| {
            let words = problem.rule.split(';').next().unwrap_or_default();
            words.to_owned()
        };
        let stood = |problem: &Problem| {
            let mut before = before.broken.iter();
            before.any(|it| it.pointer == problem.pointer && rule(it) == rule(problem))
        };
        let stands = |problem: &Problem| {
            stood(problem) && was.pointer(&problem.pointer) == is.pointer(&problem.pointer)
        };
        let (forgiven, left) = std::mem::take(&mut self.broken)
            .into_iter()
            .partition(stands);
        self.broken = left;
        forgiven
    }

    /// Whether a rule is broken.
    pub(crate) fn breaks_a_rule(&self) -> bool {
        !self.broken.is_empty()
    }

    /// Nothing when there are none.
    ///
    /// # Errors
    /// 400 `read_only_field`, `unknown_field`, `invalid_field` or `invalid_config`, in that order of precedence, with
    /// all problems.
    pub(crate) fn into_result(self) -> Result<()> {
        let first = |problems: &[Problem]| problems.first().map(|it| dotted(&it.pointer));
        let error = if let Some((first, route)) = self.read_only.first() {
            let field = dotted(&first.pointer);
            let error = Error::new(Code::ReadOnlyField, format!("{field} is derived."))
                .with_detail("field", field);
            if route.starts_with(NO_ROUTE) {
                error.with_hint(SET_BY_NOBODY)
            } else {
                error.with_detail("route", route.as_str())
            }
        } else if let Some(field) = first(&self.unknown) {
            let pointers: Vec<&String> = self.unknown.iter().map(|it| &it.pointer).collect();
            Error::new(Code::UnknownField, format!("{field} is not known."))
                .with_detail("field", field)
                .with_detail("pointers", json!(pointers))
        } else if let (Some(field), Some(first)) = (first(&self.invalid), self.invalid.first()) {
            Error::invalid_field(&field, first.rule.as_str())
        } else if self.broken.is_empty() {
            return Ok(());
        } else {
            Error::new(
                Code::InvalidConfig,
                "The configuration breaks rules; details.problems lists all of them.",
            )
        };
        let derived = self.read_only.into_iter().map(|(problem, _)| problem);
        let all: Vec<Problem> = derived
            .chain(self.unknown)
            .chain(self.invalid)
            .chain(self.broken)
            .collect();
        Err(error.with_detail("problems", json!(all)))
    }
}

/// Derived members among those of a configuration, or of a patch of one.
pub(crate) fn derived_members(members: &Map<String, Value>, faults: &mut Faults) {
    for (member, route) in DERIVED {
        if members.contains_key(member) {
            faults.read_only(format!("/{member}"), route);
        }
    }
    let providers = members.get("providers").and_then(Value::as_object);
    for (name, settings) in providers.into_iter().flatten() {
        for member in DERIVED_OF_PROVIDERS {
            if settings.get(member).is_some() {
                let pointer = format!("/providers/{name}/{member}");
                faults.read_only(pointer, PROVIDER_KEY_ROUTE);
            }
        }
    }
}

/// What a configuration is judged by besides itself.
#[derive(Clone, Debug)]
pub(crate) struct Around {
    /// Where and when.
    pub context: ValidateContext,
    /// Providers that have a key.
    pub keyed: BTreeSet<ProviderName>,
    /// The scopes of budgets that exist, of those that had to be looked up; `None` when none had to.
    pub known_scopes: Option<Vec<String>>,
}

/// Reads a whole configuration. What is wrong is added to `faults`; what cannot be read is left out of the result.
///
/// # Errors
/// 413 when it is too large.
pub(crate) fn read(stored: &Value, around: &Around, faults: &mut Faults) -> Result<EditableConfig> {
    if stored.to_string().len() > MAX_CONFIG_BYTES {
        return Err(
            Error::new(Code::PayloadTooLarge, "The configuration is too large.")
                .with_detail("max_bytes", MAX_CONFIG_BYTES),
        );
    }
    let no_members = Map::new();
    let members = stored.as_object().unwrap_or(&no_members);
    let before = faults.invalid.len();
    let readable = readable(members, faults);
    let all_readable = faults.invalid.len() == before;
    let edited: EditableConfig = parse_json(readable.clone())?;
    let parsed =
        serde_json::to_value(&edited).map_err(|error| Error::internal(error.to_string()))?;
    for pointer in unknown_members(&readable, &parsed) {
        faults.unknown(pointer, "there is no such member");
    }
    let mut problems = validate_config(&edited, around.context);
    problems.extend(provider_adapters::check_config(&edited));
    problems.extend(default_key(&edited, &around.keyed));
    problems.extend(scopes(&edited, around.known_scopes.as_deref()));
    if !all_readable {
        // What is left out would seem to be missing.
        problems.retain(|problem| {
            !problem.pointer.starts_with("/routing") && !problem.rule.starts_with(NO_PROVIDER)
        });
    }
    faults.broken(problems);
    Ok(edited)
}

/// The members that have the right types; of maps by provider each entry for itself.
fn readable(members: &Map<String, Value>, faults: &mut Faults) -> Value {
    let mut good = Map::new();
    let mut try_one = |piece: Value, at: String| match parse_json::<EditableConfig>(piece) {
        Ok(_) => true,
        Err(error) => {
            let text = |name: &str| error.details.get(name).and_then(Value::as_str);
            let field = text("field").unwrap_or_default();
            let pointer = format!("/{}", field.replace(['.', '['], "/").replace(']', ""));
            let pointer = if field.is_empty() { at } else { pointer };
            faults.invalid(
                pointer,
                text("rule").unwrap_or("has not the documented form"),
            );
            false
        }
    };
    for (name, value) in members {
        match value {
            Value::Object(entries) if ["providers", "rate_limits"].contains(&name.as_str()) => {
                let mut kept = Map::new();
                for (entry, value) in entries {
                    let piece = json!({ name.as_str(): { entry.as_str(): value } });
                    if try_one(piece, format!("/{name}/{entry}")) {
                        kept.insert(entry.clone(), value.clone());
                    }
                }
                good.insert(name.clone(), kept.into());
            }
            _ => {
                if try_one(json!({ name.as_str(): value }), format!("/{name}")) {
                    good.insert(name.clone(), value.clone());
                }
            }
        }
    }
    Value::Object(good)
}

/// The default provider has a key, or needs none. A key for another host counts: it was entered, and the configuration
/// that moves the host comes before the key for it.
fn default_key(config: &EditableConfig, keyed: &BTreeSet<ProviderName>) -> Option<Problem> {
    let name = config.routing.default_provider.as_ref()?;
    let settings = config.providers.get(name)?;
    let adapter = settings.adapter_name(name);
    let needs_key = ADAPTERS
        .iter()
        .any(|(known, needs_key)| *known == adapter && *needs_key);
    (needs_key && !keyed.contains(name)).then(|| {
        let rule = format!("needs a key: /api_keys/{name}");
        problem("/routing/default_provider", rule)
    })
}

/// Keys that belong to no provider.
pub(crate) fn homeless_keys<'a>(
    config: &EditableConfig,
    keys: impl IntoIterator<Item = &'a ProviderName>,
) -> Vec<Problem> {
    keys.into_iter()
        .filter(|name| settings_of(config, name).is_none())
        .map(|name| problem(format!("/api_keys/{name}"), config.provider_rule()))
        .collect()
}

fn scopes(config: &EditableConfig, known: Option<&[String]>) -> Vec<Problem> {
    let Some(known) = known else {
        return Vec::new();
    };
    config
        .budgets
        .iter()
        .enumerate()
        .filter(|(_, budget)| is_looked_up(&budget.scope) && !known.contains(&budget.scope))
        .map(|(index, _)| {
            let rule = "names no project of this instance and no key of its organization";
            problem(format!("/budgets/{index}/scope"), rule)
        })
        .collect()
}

fn is_looked_up(scope: &str) -> bool {
    scope.starts_with("project:") || scope.starts_with("key:")
}

/// The scopes in a list of budgets, as it was sent, that must be looked up; `None` when there is no list.
pub(crate) fn scopes_to_look_up(budgets: Option<&Value>) -> Option<Vec<String>> {
    let scopes = budgets?
        .as_array()?
        .iter()
        .filter_map(|budget| budget.get("scope")?.as_str())
        .filter(|scope| is_looked_up(scope))
        // More than this is refused by its number.
        .take(100)
        .map(str::to_owned);
    Some(scopes.collect())
}
