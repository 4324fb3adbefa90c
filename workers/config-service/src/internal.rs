//! Internal routes without a caller of their own: configuration, sealed provider keys, reports about them.
//!
//! Bodies here are never logged. A caller whose props name an instance gets that instance only.

use crate::abuse::AbuseGuard;
use crate::deps::Deps;
use crate::fields;
use crate::resolve::may_open;
use api_types::{CredentialId, InstanceConfig, InstanceId, ProviderName, Timestamp};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use errors::{Error, Result};
use http::StatusCode;
use middleware::{Json, Path, Props, Query};
use platform::{Database, Ports};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::control::{columns, credentials, credentials::CredentialRow, instances};

/// Items of one report.
const MAX_REPORTED: usize = 100;

fn only_own(props: &Props, instance_id: &InstanceId) -> Result<()> {
    match &props.instance_id {
        Some(own) if own != instance_id => Err(fields::missing()),
        _ => Ok(()),
    }
}

/// The version that the asking worker holds.
#[derive(Debug, Deserialize)]
pub(crate) struct Have {
    have: Option<i64>,
}

/// `GET /internal/v1/config/{instance_id}?have=`: 200, 304 when `have` is current, 404.
pub(crate) async fn config<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    props: Props,
    Path(instance_id): Path<InstanceId>,
    Query(query): Query<Have>,
) -> Result<Response> {
    only_own(&props, &instance_id)?;
    let results = deps
        .read(vec![instances::effective(&instance_id, query.have)])
        .await?;
    let row = results.first().and_then(|rows| rows.first());
    let row = row.ok_or_else(fields::missing)?;
    let config: Option<InstanceConfig> = columns::json_or_null(row, "body")?;
    let Some(mut config) = config else {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    };
    deps.confirm(&config);
    if !may_open(&props) {
        config.api_keys.clear();
    }
    Ok(axum::Json(config).into_response())
}

/// Which key, also a previous one until its time is over; without it the current one, while its host is the provider's.
#[derive(Debug, Deserialize)]
pub(crate) struct CredentialQuery {
    credential_id: Option<CredentialId>,
}

/// `GET /internal/v1/credentials/{instance_id}/{provider}?credential_id=`: the envelope and what it is bound to.
pub(crate) async fn credential<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    props: Props,
    Path((instance_id, provider)): Path<(InstanceId, ProviderName)>,
    Query(query): Query<CredentialQuery>,
) -> Result<Response> {
    only_own(&props, &instance_id)?;
    let id = query.credential_id.as_ref();
    let statement = credentials::one(&instance_id, &provider, id, deps.now());
    let results = deps.read(vec![statement]).await?;
    let rows = results.first().cloned().unwrap_or_default();
    let row = CredentialRow::read_all(&rows)?
        .into_iter()
        .next()
        .ok_or_else(fields::missing)?;
    let body = json!({
        "credential_id": row.credential_id, "org_id": row.org_id, "instance_id": row.instance_id,
        "provider": row.provider, "host": row.host, "ciphertext": row.ciphertext, "version": row.version,
    });
    Ok(axum::Json(body).into_response())
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum ReportOutcome {
    Ok,
    AuthFailed,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Reported {
    credential_id: CredentialId,
    outcome: ReportOutcome,
    at: Timestamp,
}

/// What providers said about keys.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Report {
    items: Vec<Reported>,
}

/// `POST /internal/v1/credentials/report`: 204; 400 for more than 100 items. Repeatable, an older report changes nothing.
pub(crate) async fn report<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    props: Props,
    Json(report): Json<Report>,
) -> Result<Response> {
    if report.items.len() > MAX_REPORTED {
        return Err(Error::invalid_field(
            "items",
            format!("must be at most {MAX_REPORTED}"),
        ));
    }
    if !report.items.is_empty() {
        let items = json!(report.items).to_string();
        deps.database
            .query(credentials::report(&items, props.instance_id.as_ref()))
            .await?;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}
