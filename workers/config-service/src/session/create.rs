//! `POST /session`: a short-lived key that acts as the presented one, shown once.

use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Body, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::fields;
use api_types::{PrincipalKind, SecretVersion, Timestamp};
use auth::chain::canonical_json;
use auth::key::MintedKey;
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::{Code, Error, Result};
use middleware::{Context, IdempotencyKey, Presented};
use platform::{Ports, Statement};
use serde::Deserialize;
use serde_json::{Value, json};
use store::control::audit::ChainOf;
use store::control::sessions::{self, NewSession};

/// The life of a session, in milliseconds: 12 hours.
const LIFE_MS: i64 = 12 * 3_600_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    label: Option<String>,
}

struct CreateSession {
    body: Body,
    minted: MintedKey,
}

impl Change for CreateSession {
    const OPERATION: &'static Operation = &config_service::CREATE_SESSION;

    fn chain(&self) -> ChainOf {
        ChainOf::Caller
    }

    fn fingerprint(&self) -> String {
        self.body.0.as_ref().map(canonical_json).unwrap_or_default()
    }

    fn reads(&self, caller: &Presented, now: Timestamp) -> Vec<Statement> {
        vec![sessions::surplus(&caller.key.key_id, now)]
    }

    fn target(&self, decision: &Decision<'_>) -> Result<Target> {
        let user = decision.auth.user.as_ref();
        Ok(Target {
            org_id: decision.auth.org_id.clone(),
            user_id: user.map(|user| user.user_id.clone()),
            ..Target::default()
        })
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        let (auth, now) = (decision.auth, decision.now);
        // What the caller shows is the parent, with the end of the secret that it shows: a previous secret must not
        // live on in a session.
        let parent = match &auth.key {
            Some(key) if auth.kind == PrincipalKind::UserKey => key,
            _ => {
                return Err(Error::new(
                    Code::Forbidden,
                    "Only a user's key can open a session, not a session itself.",
                ));
            }
        };
        let wanted: Wanted = self.body.parse()?;
        let label = match &wanted.label {
            Some(label) => fields::name("label", label)?,
            None => String::new(),
        };
        let ends = now.plus_ms(LIFE_MS);
        let expires_at = parent.expires_at.map_or(ends, |own| own.min(ends));
        let ended = sessions::read_surplus(&decision.rows(0))?;
        let pepper = decision.settings.peppers()?.current();
        let minted = &self.minted;
        let statements = sessions::create(&NewSession {
            session_id: &minted.key_id,
            parent_key_id: &parent.key_id,
            label: &label,
            key_hash: &pepper.key_hash(&minted.secret),
            pepper_id: pepper.id(),
            last4: &minted.last4,
            expires_at,
            secret_ends_at: parent
                .expires_at
                .filter(|_| parent.secret == SecretVersion::Previous),
            created_by: &auth.principal,
            now,
        });
        let body = json!({
            "key": minted.api_key.expose(), "session_id": minted.key_id, "label": label,
            "created_at": now, "expires_at": expires_at,
        });
        let location = format!("/session/{}", minted.key_id);
        Ok(Outcome {
            statements,
            audited: Some(Audited {
                target_type: "session",
                target_id: minted.key_id.to_string(),
                instance_id: None,
                before: Value::Null,
                after: json!({
                    "key_id": parent.key_id, "label": label, "expires_at": expires_at, "ended": ended,
                }),
            }),
            answer: Answer {
                secret: true,
                ..Answer::created(body, location)
            },
            publish: None,
        })
    }
}

/// Opens a session; its key is in this answer only.
///
/// 1. A user's key, not a project's and not a session (403).
/// 2. `label` (400).
/// 3. The twenty-first live session of a key ends the oldest.
///
/// 201: it lives 12 hours and never longer than what was presented. Repeated with the same `Idempotency-Key` for 10
/// minutes.
pub(crate) async fn create<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    key: IdempotencyKey,
    body: Body,
) -> Result<Response> {
    let demand = Demand::post(context, presented, key, "/session");
    let change = CreateSession {
        minted: auth::key::mint(&deps.random),
        body,
    };
    let answer = deps.mutate(&demand, &change).await?;
    Ok(answer.into_response(demand.context.request_id()))
}
