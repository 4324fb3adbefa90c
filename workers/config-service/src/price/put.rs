//! `POST /price`: a price from now or later. One that has taken effect is not changed: the new one closes it.

use super::{row_of, shown};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Body, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::effective::settings_of;
use crate::fields;
use crate::instance::config::Faults;
use crate::instance::edited_from;
use crate::rebuild;
use api_types::{InstanceId, OrgId, PriceId, ProviderName, Timestamp};
use auth::chain::canonical_json;
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::{Code, Error, Result};
use middleware::{Context, IdempotencyKey, Presented, parse_json};
use platform::{Ports, Statement};
use provider_adapters::price::PriceRow;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::control::api_keys::{self, Bounds};
use store::control::audit::ChainOf;
use store::control::guard::Quota;
use store::control::instances::{self, InstanceRow};
use store::control::organizations::{self, OrganizationRow};
use store::control::parts::{Parts, Which, put_all};
use store::control::prices::{self, PriceOverride, Slot};

/// How much a clock may be behind: so old a beginning counts as now, in milliseconds.
const SKEW_MS: i64 = 60_000;
/// How far ahead a price may begin or end, in milliseconds: five years.
const AHEAD_MS: i64 = 5 * 366 * 86_400_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    // Read before the caller is known; here only their form is checked.
    #[serde(default, rename = "org_id")]
    _org_id: Option<OrgId>,
    #[serde(default, rename = "instance_id")]
    _instance_id: Option<InstanceId>,
    provider: ProviderName,
    model: String,
    row: Map<String, Value>,
    #[serde(default)]
    valid_from: Option<Timestamp>,
    #[serde(default)]
    valid_to: Option<Timestamp>,
}

struct PutPrice {
    price_id: PriceId,
    body: Body,
    org_id: Option<OrgId>,
    instance_id: Option<InstanceId>,
    /// The body names an instance that is not one: there is none.
    malformed_instance: bool,
}

/// What the price is for, and what is known of it.
struct Place {
    org_id: OrgId,
    parts: Vec<Parts>,
    /// Prices of the same kind, of the instance or for all, that hold now or later.
    open: Vec<PriceOverride>,
}

impl PutPrice {
    fn place(&self, decision: &Decision<'_>) -> Result<Place> {
        let own = decision.auth.org_id.clone();
        let parts = Parts::read_all(decision.rows.get(1..4).unwrap_or_default())?;
        let Some(instance_id) = &self.instance_id else {
            if Bounds::read(&decision.rows(5))?.instance_ids.is_some() {
                // It would set prices for instances that the key does not cover.
                return Err(fields::no_access());
            }
            let org_id = self.org_id.clone().or(own).ok_or_else(|| {
                Error::invalid_field(
                    "org_id",
                    "must name the organization, or instance_id an instance",
                )
            })?;
            let open = PriceOverride::read_all(&decision.rows(4))?;
            return Ok(Place {
                org_id,
                parts,
                open,
            });
        };
        let row = InstanceRow::read(&decision.rows(0))?.ok_or_else(fields::missing)?;
        if !row.allowed {
            return Err(fields::no_access());
        }
        if self
            .org_id
            .as_ref()
            .is_some_and(|org_id| *org_id != row.org_id)
        {
            return Err(Error::invalid_field(
                "org_id",
                "is not the organization of the instance",
            ));
        }
        let all = parts.iter().flat_map(|parts| &parts.prices);
        let open = all
            .filter(|price| price.instance_id.as_ref() == Some(instance_id))
            .cloned()
            .collect();
        Ok(Place {
            org_id: row.org_id,
            parts,
            open,
        })
    }

    /// The price as it would be stored. All faults of the row at once.
    fn price(&self, decision: &Decision<'_>, place: &Place) -> Result<PriceOverride> {
        let wanted: Wanted = self.body.parse()?;
        let now = decision.now;
        let (valid_from, valid_to) = times(&wanted, now)?;
        let mut faults = Faults::default();
        for (member, route) in [
            ("from", "POST /price: valid_from"),
            ("until", "POST /price: valid_to"),
        ] {
            if wanted.row.contains_key(member) {
                faults.read_only(format!("/row/{member}"), route);
            }
        }
        let mut row = wanted.row.clone();
        let model = json!(wanted.model);
        if row.shift_remove("model").is_some_and(|own| own != model) {
            faults.invalid("/row/model", "must be the same as model, or absent");
        }
        let private = match (&self.instance_id, place.parts.first()) {
            (Some(_), Some(parts)) => {
                let config = edited_from(&parts.config, parts.instance_id.as_str())?;
                let settings = settings_of(&config, &wanted.provider);
                if settings.is_none() {
                    faults.invalid("/provider", config.provider_rule());
                }
                settings.map(|settings| settings.allow_private_host)
            }
            _ => None,
        };
        let mut whole = row.clone();
        whole.insert("model".into(), model);
        whole.insert("from".into(), json!(valid_from.day()));
        if faults.is_empty() {
            let typed: PriceRow = parse_json(Value::Object(whole)).map_err(inside_row)?;
            for (member, rule) in typed.broken_rules(private) {
                let at = match member {
                    "model" => "/model".to_owned(),
                    _ => format!("/row/{member}"),
                };
                faults.invalid(at, rule);
            }
        }
        faults.into_result()?;
        Ok(PriceOverride {
            price_id: self.price_id.clone(),
            org_id: place.org_id.clone(),
            instance_id: self.instance_id.clone(),
            provider: wanted.provider,
            model: wanted.model,
            row: Value::Object(row),
            valid_from,
            valid_to,
            created_by: decision.auth.principal.clone(),
            created_at: now,
        })
    }
}

fn times(wanted: &Wanted, now: Timestamp) -> Result<(Timestamp, Option<Timestamp>)> {
    let from = wanted.valid_from.unwrap_or(now);
    if from < now.plus_ms(-SKEW_MS) {
        return Err(Error::invalid_field(
            "valid_from",
            "must not be past: what was charged stays as it was",
        ));
    }
    let from = from.max(now);
    let last = now.plus_ms(AHEAD_MS);
    if from > last || wanted.valid_to.is_some_and(|to| to > last) {
        return Err(Error::invalid_field(
            "valid_from",
            "and valid_to must be at most five years ahead",
        ));
    }
    if wanted.valid_to.is_some_and(|to| to <= from) {
        return Err(Error::invalid_field("valid_to", "must be after valid_from"));
    }
    Ok((from, wanted.valid_to))
}

/// The error of a row, with its member named as it stands in the body.
fn inside_row(error: Error) -> Error {
    let field = error.details.get("field").and_then(Value::as_str);
    match field.map(|field| format!("row.{field}")) {
        Some(field) => error.with_detail("field", field),
        None => error,
    }
}

/// The price that the new one closes, if any.
///
/// # Errors
/// 409 `conflict` for one that it cannot close.
fn closed<'a>(
    new: &PriceOverride,
    same_slot: &[&'a PriceOverride],
    now: Timestamp,
) -> Result<Option<&'a PriceOverride>> {
    let new_row = row_of(new)?;
    let mut found = None;
    for old in same_slot {
        let old_row = row_of(old)?;
        let apart = old.valid_to.is_some_and(|end| end <= new.valid_from)
            || new.valid_to.is_some_and(|end| end <= old.valid_from);
        if apart || !old_row.competes(&new_row) {
            continue;
        }
        // What has taken effect gives way; what is planned, or is for some of these requests only, does not.
        if old.valid_from <= now && old.valid_from < new.valid_from && new_row.replaces(&old_row) {
            found = Some(*old);
        } else {
            let why = if old.valid_from > now {
                "A price for these requests is planned for that time."
            } else {
                "A price for some of these requests holds at that time."
            };
            return Err(Error::new(Code::Conflict, why)
                .with_detail("price_id", old.price_id.as_str())
                .with_detail("valid_from", json!(old.valid_from))
                .with_detail("valid_to", json!(old.valid_to))
                .with_hint("End that price first: DELETE /price/{price_id}."));
        }
    }
    Ok(found)
}

impl Change for PutPrice {
    const OPERATION: &'static Operation = &config_service::PUT_PRICE;

    fn instance(&self) -> Option<&InstanceId> {
        self.instance_id.as_ref()
    }

    fn chain(&self) -> ChainOf {
        match (&self.instance_id, &self.org_id) {
            (Some(instance_id), _) => ChainOf::Instance(instance_id.clone()),
            (None, Some(org_id)) => ChainOf::Organization(org_id.clone()),
            (None, None) => ChainOf::Caller,
        }
    }

    fn fingerprint(&self) -> String {
        self.body.0.as_ref().map(canonical_json).unwrap_or_default()
    }

    fn reads(&self, caller: &Presented, now: Timestamp) -> Vec<Statement> {
        let caller = &caller.key.key_id;
        let org_id = self.org_id.as_ref();
        let mut statements = Vec::with_capacity(6);
        if let Some(instance_id) = &self.instance_id {
            statements.push(instances::for_caller(caller, instance_id));
            let ids = std::slice::from_ref(instance_id);
            statements.extend(Which::Ids(ids).statements(now));
        } else {
            statements.push(organizations::named_or_own(org_id, caller));
            statements.extend(Which::Organization(org_id, caller).statements(now));
            statements.push(prices::of_organization(org_id, caller, now));
            statements.push(api_keys::bounds(caller));
        }
        statements
    }

    fn target(&self, decision: &Decision<'_>) -> Result<Target> {
        if self.malformed_instance {
            return Err(fields::missing());
        }
        if self.instance_id.is_some() {
            return crate::instance::target(decision);
        }
        if self.org_id.is_some() && OrganizationRow::read(&decision.rows(0))?.is_none() {
            return Err(fields::missing());
        }
        Ok(Target {
            org_id: self.org_id.clone().or_else(|| decision.auth.org_id.clone()),
            ..Target::default()
        })
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        let place = self.place(decision)?;
        let price = self.price(decision, &place)?;
        let now = decision.now;
        let slot = Slot {
            org_id: &place.org_id,
            instance_id: self.instance_id.as_ref(),
            provider: &price.provider,
            model: &price.model,
        };
        let in_slot =
            |old: &&PriceOverride| old.provider == price.provider && old.model == price.model;
        let same_slot: Vec<&PriceOverride> = place.open.iter().filter(in_slot).collect();
        let closed = closed(&price, &same_slot, now)?;
        let at_once = price.valid_from == now;
        let (quota, owner) = match &self.instance_id {
            Some(instance_id) => (Quota::InstancePrices, instance_id.as_str()),
            None => (Quota::OrganizationPrices, place.org_id.as_str()),
        };
        let ending = i64::from(at_once && closed.is_some());
        let count = place.open.len() as i64 - ending;
        if count >= quota.limit() {
            return Err(fields::quota_reached(quota, count));
        }
        let mut statements = vec![slot.guard(&same_slot, now)];
        if let Some(closed) = closed {
            statements.extend(prices::close(&closed.price_id, price.valid_from));
        }
        statements.push(quota.guard(owner, &now.to_string()));
        statements.push(prices::create(&price));
        let mut publish = None;
        if at_once {
            let mut rebuilt = Vec::new();
            for parts in &place.parts {
                let mut holding = parts.prices.clone();
                holding.retain(|old| closed.is_none_or(|closed| closed.price_id != old.price_id));
                holding.push(price.clone());
                let anew = rebuild::build(parts, &holding, now)?;
                if anew.differs {
                    publish = Some(anew.config);
                    rebuilt.push(anew.stored);
                }
            }
            statements.extend(put_all(&rebuilt, now));
        }
        let mut body = shown(&price, now);
        let closed_id = closed.map(|closed| &closed.price_id);
        if let Some(members) = body.as_object_mut() {
            members.insert("closed_price_id".into(), json!(closed_id));
        }
        Ok(Outcome {
            statements,
            audited: Some(Audited {
                target_type: "price",
                target_id: price.price_id.to_string(),
                instance_id: self.instance_id.clone(),
                before: match closed {
                    Some(old) => {
                        json!({"price_id": old.price_id, "row": old.row, "valid_to": old.valid_to})
                    }
                    None => Value::Null,
                },
                after: json!({
                    "provider": price.provider, "model": price.model, "row": price.row,
                    "valid_from": price.valid_from, "valid_to": price.valid_to,
                }),
            }),
            answer: Answer::created(body, format!("/price/{}", price.price_id)),
            // Those of an organization are published after the answer.
            publish: publish.filter(|_| self.instance_id.is_some()),
        })
    }
}

/// Adds a price.
///
/// 1. Instance or organization exist (404), role admin (403), scope `config:write` (403); for all instances of an
///    organization the key must not be restricted to some (403).
/// 2. Times, provider, all rules of the row (400).
/// 3. A planned price, or one for a part of these requests, at the same time (409 `conflict`); at most 500 open ones
///    (409 `quota_reached`).
/// 4. Row, end of the price before it, configurations of all instances it is for, audit entry in one batch;
///    publication. A price that begins later is taken up by the sweeper within a minute.
///
/// 201 with `Location` and the id of the price that was closed.
pub(crate) async fn put<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    key: IdempotencyKey,
    body: Body,
) -> Result<Response> {
    let demand = Demand::post(context, presented, key, "/price");
    let named = body.text("instance_id").map(InstanceId::parse);
    let change = PutPrice {
        price_id: deps.new_id()?,
        org_id: body.text("org_id").and_then(|id| OrgId::parse(id).ok()),
        malformed_instance: matches!(named, Some(Err(_))),
        instance_id: named.and_then(std::result::Result::ok),
        body,
    };
    let answer = deps.mutate(&demand, &change).await?;
    if change.instance_id.is_none() {
        deps.publish_soon();
    }
    Ok(answer.into_response(demand.context.request_id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_763_719_200_000);

    fn price(n: u32, when: &Value, from: i64, to: Option<i64>) -> PriceOverride {
        PriceOverride {
            price_id: PriceId::parse(&format!("0198f0d0-0000-7000-8000-{n:012}")).unwrap(),
            org_id: OrgId::parse("0198f0a0-0000-7000-8000-000000000001").unwrap(),
            instance_id: None,
            provider: ProviderName::parse("ideogram").unwrap(),
            model: "m".into(),
            row: json!({"unit": "image", "usd_micros": 5, "basis": "exact", "when": when}),
            valid_from: NOW.plus_ms(from),
            valid_to: to.map(|to| NOW.plus_ms(to)),
            created_by: "s".into(),
            created_at: NOW,
        }
    }

    #[test]
    fn what_has_taken_effect_gives_way_and_what_is_planned_does_not() {
        let any = json!({});
        let low = json!({"quality": ["low"]});
        let both = json!({"quality": ["low", "draft"]});
        let verdict = |new: &PriceOverride, old: &PriceOverride| match closed(new, &[old], NOW) {
            Ok(Some(_)) => "closes",
            Ok(None) => "beside",
            Err(error) => error.code.as_str(),
        };
        let now = price(1, &any, 0, None);
        for (old, want) in [
            (price(2, &any, -10, None), "closes"),
            (price(2, &any, -10, Some(5)), "closes"),
            // It began at this very instant.
            (price(2, &any, 0, None), "conflict"),
            (price(2, &any, 10, None), "conflict"),
            (price(2, &any, 10, Some(20)), "conflict"),
            (price(2, &low, -10, None), "beside"),
        ] {
            assert_eq!(verdict(&now, &old), want, "{old:?}");
        }
        let for_a_while = price(1, &any, 5, Some(10));
        assert_eq!(verdict(&for_a_while, &price(2, &any, 10, None)), "beside");
        assert_eq!(
            verdict(&for_a_while, &price(2, &any, -9, Some(5))),
            "beside"
        );
        assert_eq!(
            verdict(&for_a_while, &price(2, &any, -9, Some(6))),
            "closes"
        );
        assert_eq!(
            verdict(&price(1, &low, 0, None), &price(2, &both, -10, None)),
            "conflict"
        );
        assert_eq!(
            verdict(&price(1, &both, 0, None), &price(2, &low, -10, None)),
            "conflict"
        );
    }
}
