//! `GET /api-key/{key_id}`.

use super::{check_reaches, shown, target};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::deps::Deps;
use crate::fields;
use api_types::KeyId;
use auth::permission::{config_service, permit};
use axum::extract::State;
use axum::response::Response;
use errors::Result;
use middleware::{Context, Path, Presented};
use platform::Ports;
use store::control::api_keys::{self, Bounds, KeyView};

/// One key, without anything of its secret but the last four characters.
///
/// 1. Own key, or an administrator over it whose key reaches the project's instance (404, 403).
///
/// 200 with its version as `ETag`.
pub(crate) async fn get<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(key_id): Path<KeyId>,
) -> Result<Response> {
    let read = deps
        .read_as(
            &presented.key,
            context.client_ip(),
            None,
            vec![
                api_keys::by_id(&key_id),
                api_keys::bounds(&presented.key.key_id),
            ],
        )
        .await?;
    context.identify(&read.auth, None, None);
    let key = KeyView::read(&read.rows(0))?;
    let target = target(&read.auth, key.as_ref())?;
    permit(&config_service::GET_API_KEY, &read.auth, &target)?;
    let key = key.ok_or_else(fields::missing)?;
    check_reaches(&Bounds::read(&read.rows(1))?, &key)?;
    // No 304: the answer also tells state and last use, which do not raise the version.
    let answer = Answer::ok(shown(&key, deps.now())).at_version(key.version);
    Ok(answer.into_response(context.request_id()))
}
