//! Every public route in process: status, body, who may, what stays behind.
#![expect(clippy::unwrap_used, reason = "tests")]

mod access;
mod api_keys;
mod audit;
mod bad_input;
mod bad_keys;
mod bootstrap;
mod budgets;
mod callers;
mod canary;
mod colleagues;
mod edits;
mod health;
mod instance_edits;
mod instance_life;
mod instance_limits;
mod instances;
mod kek_damage;
mod kek_rotation;
mod leaked_secrets;
mod marks;
mod matrix;
mod members;
mod narrowing;
mod organizations;
mod others_workers;
mod own_instance;
mod permissions;
mod places;
mod plans;
mod prices;
mod projects;
mod provider_keys;
mod quotas;
mod recipes;
mod revocation;
mod rotation;
mod secrets;
mod sessions;
#[path = "../support/mod.rs"]
mod support;
mod users;
mod walks;
mod workers;
mod writing;

use serde_json::{Value, json};

fn new_instance(name: &str) -> Value {
    json!({
        "name": name,
        "config": {
            "api_keys": {"ideogram": "ide-live-canary-0123456789f2c9"},
            "rate_limits": {"ideogram": {"rpm": 500}},
            "r2_bucket": "prod-images",
        },
    })
}
