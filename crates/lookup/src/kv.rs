//! The copy of an instance's configuration in KV: key and value form.
//!
//! In scope: naming, encoding, refusing what is not ours. Out of scope: writing (config-service alone), ages.

use api_types::{CachedConfig, InstanceConfig, InstanceId, Timestamp};

/// The copy disappears from KV after this time, in seconds.
pub const EXPIRES_S: u64 = 86_400;
/// A location may cache the value this long, in seconds.
pub const CACHE_TTL_S: u64 = 30;
/// Version of the value's form.
pub const VERSION: u32 = 1;

/// The key of an instance's copy.
pub fn key(instance_id: &InstanceId) -> String {
    format!("cfg:v{VERSION}:{instance_id}")
}

/// The value, as confirmed at that time.
pub fn encode(config: &InstanceConfig, confirmed_at: Timestamp) -> String {
    serde_json::json!({
        "v": VERSION,
        "config_version": config.config_version,
        "confirmed_at": confirmed_at,
        "config": config,
    })
    .to_string()
}

/// The value, or why it is not one of that instance: a copy that cannot be read is a miss, never a failure.
pub fn decode(text: &str, instance_id: &InstanceId) -> Result<CachedConfig, &'static str> {
    let value: CachedConfig = serde_json::from_str(text).map_err(|_| "not in our form")?;
    if value.v != VERSION {
        return Err("another form version");
    }
    if &value.config.instance_id != instance_id {
        return Err("another instance");
    }
    if value.config.config_version != value.config_version {
        return Err("two versions");
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(version: i64) -> InstanceConfig {
        serde_json::from_value(serde_json::json!({
            "instance_id": "production",
            "org_id": "0198f0a0-0000-7000-8000-000000000001",
            "config_version": version,
        }))
        .unwrap()
    }

    #[test]
    fn kv_format_unchanged() {
        let id = InstanceId::parse("production").unwrap();
        assert_eq!(key(&id), "cfg:v1:production");
        let text = encode(&config(17), Timestamp(1_763_719_203_240));
        assert!(text.starts_with(
            r#"{"v":1,"config_version":17,"confirmed_at":"2025-11-21T10:00:03.240Z","config":{"#
        ));
        assert_eq!(decode(&text, &id).unwrap().config, config(17));
    }

    #[test]
    fn refuses_values_that_are_not_ours() {
        let id = InstanceId::parse("production").unwrap();
        let good = encode(&config(17), Timestamp(0));
        for bad in [
            String::new(),
            "{".to_owned(),
            "[]".to_owned(),
            good.replace(r#"{"v":1"#, r#"{"v":2"#),
            good.replace(
                r#""instance_id":"production""#,
                r#""instance_id":"development""#,
            ),
            good.replacen(r#""config_version":17"#, r#""config_version":18"#, 1),
        ] {
            assert_ne!(bad, good);
            assert!(decode(&bad, &id).is_err(), "{bad}");
        }
    }
}
