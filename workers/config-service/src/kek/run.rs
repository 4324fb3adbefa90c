//! `POST /admin/kek-rotation/{rotation_id}/run`.

use super::{Facts, STEPS, shown};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::deps::Deps;
use crate::fields;
use crate::mutate::By;
use api_types::RotationId;
use auth::permission::{Target, config_service, permit};
use axum::extract::State;
use axum::response::Response;
use errors::Result;
use middleware::{Context, Path, Presented};
use platform::Ports;
use serde_json::json;
use store::control::kek::{self, Rotation};

/// Takes 20 steps now. Repeatable: it goes on where the rotation stands, beside the sweeper or another run.
///
/// 1. Role superadmin, scope `platform:write` (403).
/// 2. It exists (404).
/// 3. Steps, each its own batch with its audit entry, each published; none when the rotation has ended.
///
/// 200 with where it stands and `steps`. After 503 it has done some of them and is asked again.
pub(crate) async fn run<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(rotation_id): Path<RotationId>,
) -> Result<Response> {
    let read = deps
        .read_as(
            &presented.key,
            context.client_ip(),
            None,
            vec![kek::by_id(&rotation_id)],
        )
        .await?;
    context.identify(&read.auth, None, None);
    permit(
        &config_service::RUN_KEK_ROTATION,
        &read.auth,
        &Target::default(),
    )?;
    Rotation::read(&read.rows(0))?.ok_or_else(fields::missing)?;
    let by = By::caller(&read.auth, &context);
    let steps = deps.rotate_kek(&rotation_id, &by, STEPS).await?;
    let mut reads = Facts::reads(&deps.settings);
    reads.push(kek::by_id(&rotation_id));
    let mut rows = deps.read(reads).await?;
    let rotation = Rotation::read(&rows.pop().unwrap_or_default())?.ok_or_else(fields::missing)?;
    let mut body = shown(&rotation, &Facts::read(&deps.settings, &rows));
    if let Some(members) = body.as_object_mut() {
        members.insert("steps".into(), json!(steps));
    }
    Ok(Answer::ok(body).into_response(context.request_id()))
}
