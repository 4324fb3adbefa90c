//! Serves the pictures of finished jobs, with everything that can go wrong on that way.
//!
//! In scope: signed and unsigned links, their ends, redirects, broken files. Not in scope: pictures inside JSON.

use crate::call::{Answer, Call, Payload};
use crate::fault::{self, Refusal, Refused};
use crate::job::{Outcome, State};
use crate::journal::ViolationKind;
use crate::links::LinkCheck;
use crate::scenario::{Scenario, Token};
use crate::world::{Phase, World};
use axum::http::{HeaderMap, Method};

/// Headers that carry a credential.
pub(crate) const CREDENTIALS: [&str; 6] = [
    "api-key",
    "authorization",
    "cookie",
    "x-api-key",
    "x-key",
    "x-goog-api-key",
];

/// The first header with a credential.
pub(crate) fn credential(headers: &HeaderMap) -> Option<&'static str> {
    CREDENTIALS
        .into_iter()
        .find(|name| headers.contains_key(*name))
}

/// `GET` on the host of the pictures.
pub(crate) fn serve_signed(call: &mut Call, world: &mut World) -> Answer {
    if let Some(header) = credential(&call.headers) {
        call.violate(ViolationKind::CredentialOnImageHost, header);
        if call.query("hop").is_some() {
            call.violate(ViolationKind::RedirectFollowedWithKey, header);
        }
    }
    let path = call.path.clone();
    let file = path
        .strip_prefix("/api/images/ephemeral/")
        .or_else(|| path.strip_prefix("/dalle/"));
    let Some(file) = file else {
        return Answer::text(404, "not found");
    };
    let (expires, signature) = (call.query("exp"), call.query("sig"));
    match call
        .links
        .check(&path, expires.as_deref(), signature.as_deref())
    {
        LinkCheck::Forged => Answer::text(403, "signature mismatch"),
        LinkCheck::Valid { expires_s } => serve(call, world, file, Some(expires_s)),
    }
}

/// `GET` of a file whose link has neither signature nor end.
pub(crate) fn serve_unsigned(call: &mut Call, world: &mut World, file: &str) -> Answer {
    serve(call, world, file, None)
}

/// 1. The file of a finished job: 404. 2. Its end: 403. 3. Queued faults. 4. The job's own: 403, 404, 302.
/// 5. The picture: 200.
fn serve(call: &mut Call, world: &mut World, file: &str, expires_s: Option<u64>) -> Answer {
    // 1
    if call.method != Method::GET && call.method != Method::HEAD {
        return Answer::text(405, "method not allowed");
    }
    let place = file
        .strip_suffix(".png")
        .and_then(|name| name.rsplit_once('-'))
        .and_then(|(id, index)| Some((id, index.parse::<u32>().ok()?)));
    let Some((id, index)) = place else {
        return Answer::text(404, "not found");
    };
    let Some(job) = world.jobs.get(id) else {
        return Answer::text(404, "not found");
    };
    call.vendor = job.vendor;
    call.account = Some(job.account.clone());
    call.request_id = call.request_id.take().or_else(|| job.request_id.clone());
    let account = job.account.clone();
    let shown = match job.state(call.now_ms) {
        State::Ended(Outcome::Completed) => index < job.images && !job.withheld(index),
        // The end of the link decides, below.
        State::Ended(Outcome::Expired) => expires_s.is_some(),
        _ => false,
    };
    if !shown {
        return Answer::text(404, "not found");
    }
    // 2
    if expires_s.is_some_and(|expires_s| call.now_ms / 1000 >= expires_s) {
        if job.token(Scenario::ImgExpired).is_none() {
            call.violate(ViolationKind::FetchAfterExpiry, file);
        }
        return Answer::text(403, "the link has expired");
    }
    // 3
    let queued = world.queued(call.vendor, Phase::Download, &account);
    let Some(job) = world.jobs.get_mut(id) else {
        return Answer::text(404, "not found");
    };
    let hop = call.query("hop").is_some();
    let fetches = job.fetches.entry(index).or_default();
    if !hop {
        *fetches += 1;
    }
    let fetches = *fetches;
    let is_queued = queued.is_some();
    let tokens: Vec<Token> = queued.unwrap_or_else(|| {
        let met = |token: &&Token| {
            concerns_files(token.scenario)
                && (!token.scenario.is_later() || token.first.is_none_or(|first| fetches <= first))
        };
        job.tokens.iter().filter(met).cloned().collect()
    });
    call.scenario = crate::world::label(&tokens);
    if is_queued && let Some(refused) = fault::refused(&tokens, call.now_ms) {
        return match refused {
            Refused::OnTheWay(answer) => answer,
            Refused::ByVendor(refusal) => refuse(&refusal),
        };
    }
    // 4
    for token in &tokens {
        match token.scenario {
            Scenario::Img403 | Scenario::ImgExpired => return Answer::text(403, "forbidden"),
            Scenario::Img404 => return Answer::text(404, "not found"),
            Scenario::ImgRedirect if token.is("offlist") => {
                let target = format!("{}{}", call.links.offlist, call.path);
                return Answer::text(302, "").with("location", target);
            }
            Scenario::ImgRedirect if !hop => {
                let join = if call.query.is_empty() { "" } else { "&" };
                let base = if expires_s.is_some() {
                    call.links.image.clone()
                } else {
                    format!("{}{}", call.links.api, call.vendor.prefix())
                };
                let target = format!("{base}{}?{}{join}hop=1", call.path, call.query);
                return Answer::text(302, "").with("location", target);
            }
            _ => {}
        }
    }
    // 5
    let picture = job.picture(index, &tokens);
    let media_type = picture.format.media_type();
    let spoiled = tokens.clone();
    let draw = move || picture.draw().map(|file| fault::spoil(file, &spoiled));
    let answer = Answer::new(200, media_type, Payload::Later(Box::new(draw)));
    let answer = fault::disguise(answer, &tokens);
    if is_queued {
        fault::deliver(answer, &tokens)
    } else {
        answer
    }
}

/// Scenarios of a submit that show only at its files; the others were met before.
const fn concerns_files(scenario: Scenario) -> bool {
    matches!(
        scenario,
        Scenario::ImgTruncated
            | Scenario::ImgHtml
            | Scenario::ImgRedirect
            | Scenario::Img403
            | Scenario::Img404
            | Scenario::ImgExpired
            | Scenario::Bytes
            | Scenario::SizeLie
            | Scenario::WrongType
            | Scenario::Huge
    )
}

fn refuse(refusal: &Refusal) -> Answer {
    match refusal {
        Refusal::Throttled(wait) => wait.tell(Answer::text(429, "too many requests")),
        Refusal::InFlight => Answer::text(429, "too many requests"),
        Refusal::Quota(_) => Answer::text(402, "payment required"),
        Refusal::Auth => Answer::text(401, "unauthorized"),
        Refusal::Forbidden | Refusal::Unsafe => Answer::text(403, "forbidden"),
        Refusal::Internal => Answer::text(500, "internal error"),
        Refusal::Unavailable => Answer::text(503, "unavailable"),
        Refusal::Overloaded => Answer::text(529, "overloaded"),
        Refusal::NotFound => Answer::text(404, "not found"),
    }
}
