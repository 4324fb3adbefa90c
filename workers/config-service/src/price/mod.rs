//! `/price`: prices of an organization or one of its instances, in time, and how they join the configuration.
//!
//! In scope: which price holds for a provider, how a price is shown. Out of scope: the form of a row and which rows compete
//! (`provider_adapters::price`).

pub(crate) mod end;
pub(crate) mod list;
pub(crate) mod put;

use api_types::{ProviderName, ProviderSettings, Timestamp};
use errors::{Error, Result};
use provider_adapters::price::PriceRow;
use serde_json::{Value, json};
use store::control::prices::PriceOverride;

/// The row as workers read it: with its model, and valid from the day on which it begins. When it ends is not in it: then
/// the configuration is built anew.
///
/// # Errors
/// 500 when a stored row is none.
pub(crate) fn row_of(price: &PriceOverride) -> Result<PriceRow> {
    let mut row = price.row.clone();
    if let Some(members) = row.as_object_mut() {
        members.insert("model".into(), json!(price.model));
        members.insert("from".into(), json!(price.valid_from.day()));
    }
    serde_json::from_value(row)
        .map_err(|_| Error::internal(format!("the price {} is no price row", price.price_id)))
}

/// Joins the prices that hold now with those of a provider's settings. For the same requests the price of the instance
/// counts before that of its organization, and that before the configuration's; where rows overlap only in part, the
/// newer one counts.
///
/// # Errors
/// As [`row_of`].
pub(crate) fn join(
    name: &ProviderName,
    settings: &mut ProviderSettings,
    prices: &[PriceOverride],
    now: Timestamp,
) -> Result<()> {
    let mut own: Vec<&PriceOverride> = prices
        .iter()
        .filter(|price| price.provider == *name && price.holds(now))
        .collect();
    own.sort_by_key(|price| (price.instance_id.is_some(), price.valid_from));
    for price in own {
        let row = row_of(price)?;
        // For all instances it may be free; on a public host it would only hide the vendor's price.
        if row.free && !settings.allow_private_host {
            continue;
        }
        settings.prices.retain(|other| {
            let other = serde_json::from_value::<PriceRow>(other.clone());
            !other.is_ok_and(|other| row.replaces(&other))
        });
        let value = serde_json::to_value(&row).map_err(|e| Error::internal(e.to_string()))?;
        settings.prices.push(value);
    }
    Ok(())
}

/// How a price is shown.
pub(crate) fn shown(price: &PriceOverride, now: Timestamp) -> Value {
    let state = if price.has_ended(now) {
        "ended"
    } else if price.holds(now) {
        "current"
    } else {
        "future"
    };
    json!({
        "price_id": price.price_id, "org_id": price.org_id, "instance_id": price.instance_id,
        "provider": price.provider, "model": price.model, "row": price.row, "state": state,
        "valid_from": price.valid_from, "valid_to": price.valid_to,
        "created_by": price.created_by, "created_at": price.created_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::{InstanceId, OrgId, PriceId};

    const NOW: Timestamp = Timestamp(1_763_719_200_000);

    fn price(of: Option<&str>, row: Value, from: i64, to: Option<i64>) -> PriceOverride {
        PriceOverride {
            price_id: PriceId::parse("0198f0d0-0000-7000-8000-000000000001").unwrap(),
            org_id: OrgId::parse("0198f0a0-0000-7000-8000-000000000001").unwrap(),
            instance_id: of.map(|id| InstanceId::parse(id).unwrap()),
            provider: ProviderName::parse("ideogram").unwrap(),
            model: "m".into(),
            row,
            valid_from: NOW.plus_ms(from),
            valid_to: to.map(|to| NOW.plus_ms(to)),
            created_by: "s".into(),
            created_at: NOW,
        }
    }

    fn costs(usd_micros: i64) -> Value {
        json!({"unit": "image", "usd_micros": usd_micros, "basis": "exact"})
    }

    fn joined(settings: Value, prices: &[PriceOverride]) -> Vec<i64> {
        let mut settings: ProviderSettings = serde_json::from_value(settings).unwrap();
        let name = ProviderName::parse("ideogram").unwrap();
        join(&name, &mut settings, prices, NOW).unwrap();
        let amounts = settings.prices.iter().map(|row| row["usd_micros"].as_i64());
        amounts.map(Option::unwrap).collect()
    }

    #[test]
    fn what_holds_now_counts_and_the_nearest_wins() {
        let own = |n, from, to| price(Some("production"), costs(n), from, to);
        let all = |n, from, to| price(None, costs(n), from, to);
        let configured = json!({"prices": [
            {"model": "m", "unit": "image", "usd_micros": 1, "from": "2026-01-01", "basis": "exact"},
            {"model": "other", "unit": "image", "usd_micros": 2, "from": "2026-01-01", "basis": "exact"},
        ]});
        assert_eq!(joined(configured.clone(), &[]), [1, 2]);
        assert_eq!(joined(configured.clone(), &[all(5, -10, None)]), [2, 5]);
        assert_eq!(
            joined(configured.clone(), &[own(6, -20, None), all(5, -10, None)]),
            [2, 6]
        );
        // Not yet, not any more, just now, until just now.
        assert_eq!(joined(configured.clone(), &[own(6, 1, None)]), [1, 2]);
        assert_eq!(joined(configured.clone(), &[own(6, -10, Some(0))]), [1, 2]);
        assert_eq!(joined(configured.clone(), &[own(6, 0, Some(1))]), [2, 6]);
        let low = price(
            None,
            json!({"when": {"quality": ["low"]}, "unit": "image", "usd_micros": 3, "basis": "exact"}),
            -10,
            None,
        );
        assert_eq!(joined(configured, &[low, all(5, -10, None)]), [2, 3, 5]);
    }

    #[test]
    fn a_free_row_for_all_instances_counts_on_private_hosts_only() {
        let free = json!({"unit": "image", "usd_micros": 0, "free": true, "basis": "exact"});
        let free = [price(None, free, -10, None)];
        assert!(joined(json!({}), &free).is_empty());
        assert_eq!(joined(json!({"allow_private_host": true}), &free), [0]);
    }

    #[test]
    fn a_joined_row_has_the_form_of_the_providers_data() {
        let mut settings = ProviderSettings::default();
        let name = ProviderName::parse("ideogram").unwrap();
        let prices = [price(None, costs(5), -10, None)];
        join(&name, &mut settings, &prices, NOW).unwrap();
        assert_eq!(
            settings.prices,
            [
                json!({"model": "m", "when": {}, "unit": "image", "usd_micros": 5, "from": "2025-11-21", "basis": "exact"})
            ]
        );
        let broken = [price(None, json!({"unit": "barrel"}), -10, None)];
        assert!(join(&name, &mut settings, &broken, NOW).is_err());
    }
}
