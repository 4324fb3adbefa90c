//! `/price` in the document.

use super::entry::{CHANGE, EDITED, Entry, PAGE, delete, get, post};
use super::shape::{any, list_of, object, or_null, slug, strict, text, time, uuid};
use auth::permission::config_service as op;
use errors::Code;
use serde_json::{Value, json};

// An operation and what belongs to it, line by line, so that the table can be read as one.
#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    get(&op::LIST_PRICES, "/price", "Prices of the caller's instances and of its organization, newest first.")
        .gives(200, "PriceList").paged().asks(&["org_id", "instance_id", "provider", "model", "state"]).may(&[PAGE, &[Code::ScopeMissing]]),
    post(&op::PUT_PRICE, "/price", "Adds a price from now or later; the one before it ends there.")
        .takes("PutPrice").gives(201, "Price").may(&[EDITED, CHANGE, &[Code::Conflict, Code::QuotaReached]]),
    delete(&op::END_PRICE, "/price/{price_id}", "Ends a price now, or withdraws one that is planned.")
        .gives_nothing().may(&[CHANGE, &[Code::InvalidField, Code::PayloadTooLarge]]),
];

pub(super) fn schemas() -> Value {
    let micros = || json!({"type": "integer", "minimum": 0, "maximum": 1_000_000_000});
    let row = strict(&[
        ("when?", any()),
        (
            "unit",
            json!({"enum": ["image", "megapixel", "million_tokens"]}),
        ),
        ("usd_micros?", micros()),
        ("extra_usd_micros?", micros()),
        ("upper_usd_micros?", micros()),
        ("tokens?", any()),
        ("basis", json!({"enum": ["exact", "estimate"]})),
        ("source?", text()),
        ("free?", json!({"type": "boolean"})),
    ]);
    json!({
        "PriceRow": row,
        "PutPrice": strict(&[
            ("org_id?", uuid()), ("instance_id?", slug()), ("provider", slug()), ("model", text()),
            ("row", super::reference("PriceRow")), ("valid_from?", time()), ("valid_to?", time()),
        ]),
        "Price": object(&[
            ("price_id", uuid()), ("org_id", uuid()), ("instance_id", or_null("string")), ("provider", slug()),
            ("model", text()), ("row", super::reference("PriceRow")), ("state", json!({"enum": ["current", "future", "ended"]})),
            ("valid_from", time()), ("valid_to", or_null("string")), ("created_by", text()), ("created_at", time()),
            ("closed_price_id?", or_null("string")),
        ]),
        "PriceList": list_of("Price"),
    })
}
