//! `DELETE /price/{price_id}`: a price that holds ends now, one that is planned is withdrawn.

use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::fields;
use crate::rebuild;
use api_types::{PriceId, Timestamp};
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::Result;
use middleware::{Context, IfMatch, Path, Presented};
use platform::{Ports, Statement};
use serde_json::{Value, json};
use store::control::audit::ChainOf;
use store::control::parts::{Parts, Which, put_all};
use store::control::prices::{self, JudgedPrice};

struct EndPrice {
    price_id: PriceId,
}

impl Change for EndPrice {
    const OPERATION: &'static Operation = &config_service::END_PRICE;

    fn chain(&self) -> ChainOf {
        ChainOf::Price(self.price_id.clone())
    }

    fn fingerprint(&self) -> String {
        String::new()
    }

    fn reads(&self, caller: &Presented, now: Timestamp) -> Vec<Statement> {
        let mut statements = vec![prices::for_caller(&caller.key.key_id, &self.price_id)];
        statements.extend(Which::OfPrice(&self.price_id).statements(now));
        statements
    }

    fn target(&self, decision: &Decision<'_>) -> Result<Target> {
        let judged = JudgedPrice::read(&decision.rows(0))?.ok_or_else(fields::missing)?;
        Ok(Target {
            org_id: Some(judged.price.org_id),
            instance_id: judged.price.instance_id,
            ..Target::default()
        })
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        let judged = JudgedPrice::read(&decision.rows(0))?.ok_or_else(fields::missing)?;
        if !judged.allowed {
            return Err(fields::no_access());
        }
        let (price, now) = (judged.price, decision.now);
        if price.has_ended(now) {
            return Ok(Outcome::unchanged(Answer::no_content()));
        }
        // One that begins at this instant has not held for anybody.
        let (mut statements, after) = if price.valid_from >= now {
            let withdraw = prices::withdraw(&price.price_id, now).to_vec();
            (withdraw, Value::Null)
        } else {
            let close = prices::close(&price.price_id, now).to_vec();
            (close, json!({"valid_to": now}))
        };
        let mut publish = None;
        if price.holds(now) {
            let parts = Parts::read_all(decision.rows.get(1..4).unwrap_or_default())?;
            let mut rebuilt = Vec::new();
            for parts in &parts {
                let mut holding = parts.prices.clone();
                holding.retain(|other| other.price_id != price.price_id);
                let anew = rebuild::build(parts, &holding, now)?;
                if anew.differs {
                    publish = Some(anew.config);
                    rebuilt.push(anew.stored);
                }
            }
            statements.extend(put_all(&rebuilt, now));
        }
        Ok(Outcome {
            statements,
            audited: Some(Audited {
                target_type: "price",
                target_id: price.price_id.to_string(),
                instance_id: price.instance_id.clone(),
                before: json!({
                    "provider": price.provider, "model": price.model, "row": price.row,
                    "valid_from": price.valid_from, "valid_to": price.valid_to,
                }),
                after,
            }),
            answer: Answer::no_content(),
            publish: publish.filter(|_| price.instance_id.is_some()),
        })
    }
}

/// Ends a price; repeatable while it is known.
///
/// 1. It exists in the caller's organization (404), role admin (403), scope `config:write` (403).
/// 2. End or withdrawal, configurations of all instances it was for, audit entry in one batch; publication.
///
/// 204, also when it had ended. One that is planned is gone afterwards.
pub(crate) async fn end<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(price_id): Path<PriceId>,
) -> Result<Response> {
    let demand = Demand::repeatable(context, presented, IfMatch::Missing, "DELETE /price");
    let change = EndPrice { price_id };
    let answer = deps.mutate(&demand, &change).await?;
    deps.publish_soon();
    Ok(answer.into_response(demand.context.request_id()))
}
