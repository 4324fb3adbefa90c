//! Rules of single members of request bodies, and the one text for things that are missing or foreign.
//!
//! In scope: names, e-mails, times, who is foreign. Out of scope: the configuration (`api_types::validate_config`).

use api_types::{AuthContext, InstanceId, OrgId, Role};
use errors::{Code, Error, Result};
use serde_json::Value;

/// A missing and a foreign thing get the same bytes, which are also those of `auth::permission`.
pub(crate) fn missing() -> Error {
    Error::not_found("thing with this id")
}

/// Whether something of that organization is foreign to the caller. What belongs to no organization is the platform's.
pub(crate) fn is_foreign(auth: &AuthContext, org_id: Option<&OrgId>) -> bool {
    auth.role != Role::Superadmin && (org_id.is_none() || org_id != auth.org_id.as_ref())
}

/// # Errors
/// 403 `role_required`.
pub(crate) fn role_required(role: &str) -> Error {
    Error::new(Code::RoleRequired, format!("This needs the role {role}.")).with_detail("role", role)
}

/// 403 for a key that may not use the instance.
pub(crate) fn no_access() -> Error {
    Error::new(Code::Forbidden, "This key has no access to this instance.")
}

/// 409 `quota_reached`.
pub(crate) fn quota_reached(quota: store::control::guard::Quota, current: i64) -> Error {
    Error::new(
        Code::QuotaReached,
        format!("There may be at most {} {}.", quota.limit(), quota.what()),
    )
    .with_detail("limit", quota.limit())
    .with_detail("current", current)
}

/// 1 to 200 characters without control characters.
///
/// # Errors
/// 400 `invalid_field`.
pub(crate) fn name(field: &str, text: &str) -> Result<String> {
    let text = text.trim();
    let good = (1..=200).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if good {
        Ok(text.to_owned())
    } else {
        Err(Error::invalid_field(
            field,
            "must be 1 to 200 characters without control characters",
        ))
    }
}

/// At most 254 bytes with one `@` and something on both of its sides.
///
/// # Errors
/// 400 `invalid_field`.
pub(crate) fn email(field: &str, text: &str) -> Result<String> {
    let text = text.trim();
    let sides: Vec<&str> = text.split('@').collect();
    let good = text.len() <= 254
        && !text.chars().any(|c| c.is_control() || c.is_whitespace())
        && matches!(sides.as_slice(), [local, domain] if !local.is_empty() && !domain.is_empty());
    if good {
        Ok(text.to_owned())
    } else {
        Err(Error::invalid_field(
            field,
            "must be an e-mail address of at most 254 bytes",
        ))
    }
}

/// Members that are there to hold a secret: they are sealed and never shown.
const SECRET_MEMBERS: [&str; 3] = ["api_key", "api_keys", "webhook_secret"];

/// What is written into any other member is shown to all who may read the thing, and stays in the audit log for ever.
///
/// # Errors
/// 400 `invalid_field` naming the member; the value is not repeated.
pub(crate) fn no_credentials(body: &Value) -> Result<()> {
    fn held(value: &Value, field: &str) -> Option<String> {
        let inside = |name: &str| match field {
            "" => name.to_owned(),
            _ => format!("{field}.{name}"),
        };
        match value {
            // A user in a URL is refused by the rule of that member, which names all problems together.
            Value::String(text) if field.ends_with("url") => {
                logging::holds_credential(&text.replace('@', " ")).then(|| field.to_owned())
            }
            Value::String(text) => logging::holds_credential(text).then(|| field.to_owned()),
            Value::Array(items) => items.iter().find_map(|item| held(item, field)),
            Value::Object(members) => members
                .iter()
                .filter(|(name, _)| !SECRET_MEMBERS.contains(&name.as_str()))
                .find_map(|(name, value)| {
                    if logging::holds_credential(name) {
                        Some(field.to_owned())
                    } else {
                        held(value, &inside(name))
                    }
                }),
            Value::Null | Value::Bool(_) | Value::Number(_) => None,
        }
    }
    match held(body, "") {
        None => Ok(()),
        Some(field) => {
            let field = if field.is_empty() { "body" } else { &field };
            Err(Error::invalid_field(
                field,
                "must not hold an API key or another credential",
            ))
        }
    }
}

/// An instance id made from a name: `Content Forge 2` gives `content-forge-2`.
///
/// # Errors
/// 400 `invalid_field` when nothing is left of the name, or what is left is reserved.
pub(crate) fn slug(name: &str) -> Result<InstanceId> {
    let mut slug = String::new();
    for c in name.chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(40);
    InstanceId::parse(slug.trim_end_matches('-')).map_err(|error| {
        Error::invalid_field(
            "instance_id",
            format!("is made from the name when missing, and {error}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_credential_is_refused_wherever_it_is_not_kept_as_one() {
        let key = "sy_4fGh7kQ2mZ0a_3AHOVcjqx4BIPWdkry5CJQXelsz6DKRYfmt07ELSZgn0akblb";
        for (body, field) in [
            (json!({"name": key}), "name"),
            (json!({"config": {"r2_bucket": key}}), "config.r2_bucket"),
            (json!({"tags": [{"a": format!("x {key}")}]}), "tags.a"),
            (
                json!({"config": {"base_url": format!("https://a@b/{key}")}}),
                "config.base_url",
            ),
            (json!({"name": "https://user:pass@example.com"}), "name"),
            (json!({key: 1}), "body"),
            (json!([key]), "body"),
        ] {
            let error = no_credentials(&body).unwrap_err();
            assert_eq!(error.details["field"], field, "{body}");
            assert!(!error.to_string().contains("3AHOV"), "{error}");
        }
        for body in [
            json!({"api_key": key, "webhook_secret": key}),
            json!({"config": {"api_keys": {"openai": key}, "base_url": "https://user@example.com"}}),
            json!({"name": "The bearer of a basic key, sk-8", "n": 1}),
        ] {
            assert!(no_credentials(&body).is_ok(), "{body}");
        }
    }

    #[test]
    fn slugs_are_made_from_names() {
        assert_eq!(
            slug("Content Forge 2!").unwrap().as_str(),
            "content-forge-2"
        );
        assert_eq!(slug("  Überall ").unwrap().as_str(), "berall");
        assert!(slug("Platform").is_err());
        assert!(slug("日本").is_err());
        assert_eq!(slug(&"a ".repeat(40)).unwrap().as_str().len(), 39);
    }

    #[test]
    fn emails_have_one_at_sign() {
        assert!(email("email", "user@acme.example").is_ok());
        for bad in [
            "",
            "a",
            "@b",
            "a@",
            "a@b@c",
            "a b@c",
            &format!("{}@b", "a".repeat(254)),
        ] {
            assert!(email("email", bad).is_err(), "{bad}");
        }
    }
}
