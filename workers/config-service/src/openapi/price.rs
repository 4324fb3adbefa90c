//! `/price` in the document.

use super::Entry;
use super::LIST;
use super::shape::{any, list_of, object, or_null, slug, strict, text, time, uuid};
use auth::permission::config_service as op;
use errors::Code;
use serde_json::{Value, json};

const WRITE_PRICE: &[Code] = &[
    Code::InvalidField,
    Code::UnknownField,
    Code::ReadOnlyField,
    Code::AuthFailed,
    Code::Forbidden,
    Code::RoleRequired,
    Code::ScopeMissing,
    Code::NotFound,
    Code::Conflict,
    Code::QuotaReached,
    Code::PayloadTooLarge,
    Code::UnsupportedMediaType,
    Code::IdempotencyMismatch,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
    Code::Overloaded,
];
pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        operation: &op::LIST_PRICES,
        method: "get",
        path: "/price",
        summary: "Prices of the caller's instances and of its organization, newest first.",
        body: None,
        answer: (200, Some("PriceList")),
        query: &[
            "org_id",
            "instance_id",
            "provider",
            "model",
            "state",
            "limit",
            "cursor",
        ],
        errors: LIST,
    },
    Entry {
        operation: &op::PUT_PRICE,
        method: "post",
        path: "/price",
        summary: "Adds a price from now or later; the one before it ends there.",
        body: Some("PutPrice"),
        answer: (201, Some("Price")),
        query: &[],
        errors: WRITE_PRICE,
    },
    Entry {
        operation: &op::END_PRICE,
        method: "delete",
        path: "/price/{price_id}",
        summary: "Ends a price now, or withdraws one that is planned.",
        body: None,
        answer: (204, None),
        query: &[],
        errors: &[
            Code::InvalidField,
            Code::AuthFailed,
            Code::Forbidden,
            Code::RoleRequired,
            Code::ScopeMissing,
            Code::NotFound,
            Code::PayloadTooLarge,
            Code::TooManyAuthFailures,
            Code::DatabaseUnavailable,
            Code::Overloaded,
        ],
    },
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
