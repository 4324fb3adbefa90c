//! The caller's side of the limiter: one method a command, repeated with the same ids when it fails without an answer.
//!
//! In scope: naming the object, repeating, mapping refusals to platform errors. Out of scope: decisions, and what the
//! caller does with them.

use api_types::{
    Acquire, AcquireReply, LeaseReply, LimiterRefusal, Release, Renew, Settle, SettleReply,
    StateQuery, StateReply, Submitted, SweepReply, Take, TakeReply, limiter_object_name,
};
use errors::{Code, Error, Result, with_timeout};
use platform::{ActorReply, Actors, CallContext, Clock, Ports};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Delays before the second and the third try, in milliseconds.
const REPEAT_AFTER_MS: [u64; 2] = [50, 200];

/// An object that is silent for so long counts as one that does not answer, in milliseconds.
const ANSWER_MS: u64 = 10_000;
/// The same for `sweep`, which waits for the ledger, in milliseconds.
const SWEEP_MS: u64 = 60_000;

/// What a caller should wait when the object does not answer, in milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;

/// `take` on the wire: the nonce makes a repeated `take` of the same taker recognisable after a lost answer.
#[derive(Serialize)]
struct TakeBody<'a> {
    #[serde(flatten)]
    take: &'a Take,
    taker: &'a str,
}

/// Sends commands to limiter objects.
///
/// Errors of every method: 503 `limiter_unavailable` when no answer came, 404 `not_found` for an unknown lease,
/// 409 `lease_lost` when another epoch holds it, `internal_error` for anything that our own code got wrong.
pub struct LimiterClient<P: Ports> {
    actors: P::Actors,
    clock: P::Clock,
}

impl<P: Ports> Clone for LimiterClient<P> {
    fn clone(&self) -> Self {
        Self {
            actors: self.actors.clone(),
            clock: self.clock.clone(),
        }
    }
}

impl<P: Ports> LimiterClient<P> {
    /// A client over the objects of class `RateLimiter`.
    pub fn new(actors: P::Actors, clock: P::Clock) -> Self {
        Self { actors, clock }
    }

    /// Asks for a lease; the object follows from the command's instance and provider.
    pub async fn acquire(&self, command: &Acquire, context: &CallContext) -> Result<AcquireReply> {
        let object = limiter_object_name(&command.instance_id, &command.provider);
        self.send(&object, "acquire", command, context).await
    }

    /// Records the provider's handle of one part.
    pub async fn submitted(
        &self,
        object: &str,
        command: &Submitted,
        context: &CallContext,
    ) -> Result<LeaseReply> {
        self.send(object, "submitted", command, context).await
    }

    /// A sign of life; 409 `lease_lost` means: stop, send nothing.
    pub async fn renew(
        &self,
        object: &str,
        command: &Renew,
        context: &CallContext,
    ) -> Result<LeaseReply> {
        self.send(object, "renew", command, context).await
    }

    /// Reports outcome and cost.
    pub async fn settle(
        &self,
        object: &str,
        command: &Settle,
        context: &CallContext,
    ) -> Result<SettleReply> {
        self.send(object, "settle", command, context).await
    }

    /// Gives the lease back.
    pub async fn release(
        &self,
        object: &str,
        command: &Release,
        context: &CallContext,
    ) -> Result<LeaseReply> {
        self.send(object, "release", command, context).await
    }

    /// Takes over the lease that a wake-up named. `taker` is a nonce of whoever was woken: an answer that was lost is given
    /// again to the same one, and to nobody else.
    pub async fn take(
        &self,
        object: &str,
        command: &Take,
        taker: &str,
        context: &CallContext,
    ) -> Result<TakeReply> {
        let body = TakeBody {
            take: command,
            taker,
        };
        self.send(object, "take", &body, context).await
    }

    /// One job, or the object's gauges.
    pub async fn state(
        &self,
        object: &str,
        query: &StateQuery,
        context: &CallContext,
    ) -> Result<StateReply> {
        self.send(object, "state", query, context).await
    }

    /// Dispatches again what is overdue.
    pub async fn sweep(&self, object: &str, context: &CallContext) -> Result<SweepReply> {
        let body = serde_json::json!({ "v": 1 });
        self.send_within(SWEEP_MS, object, "sweep", &body, context)
            .await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        object: &str,
        command: &str,
        body: &impl Serialize,
        context: &CallContext,
    ) -> Result<T> {
        self.send_within(ANSWER_MS, object, command, body, context)
            .await
    }

    async fn send_within<T: DeserializeOwned>(
        &self,
        answer_ms: u64,
        object: &str,
        command: &str,
        body: &impl Serialize,
        context: &CallContext,
    ) -> Result<T> {
        let body = serde_json::to_string(body)
            .map_err(|error| Error::internal(format!("{command}: {error}")))?;
        let mut cause = String::new();
        for delay_ms in [0].into_iter().chain(REPEAT_AFTER_MS) {
            if delay_ms > 0 {
                self.clock.sleep(delay_ms).await;
            }
            let call = self.actors.call(object, command, body.clone(), context);
            let Ok(answered) = with_timeout(call, self.clock.sleep(answer_ms)).await else {
                // Another command would only wait behind this one.
                cause = format!("no answer in {answer_ms} ms");
                break;
            };
            match answered {
                // An object that failed has dropped its memory and every command is idempotent: repeating is safe.
                Ok(reply) if reply.status >= 500 => {
                    cause = format!("{} {}", reply.status, reply.body);
                }
                Ok(reply) => return read(command, &reply),
                Err(error) => {
                    cause = error.cause;
                    // Repeating would feed the overload.
                    if error.overloaded {
                        break;
                    }
                }
            }
        }
        Err(Error::new(
            Code::LimiterUnavailable,
            "The rate limiter does not answer.",
        )
        .with_internal(format!("{object} {command}: {cause}"))
        .with_retry_after_ms(RETRY_AFTER_MS))
    }
}

fn read<T: DeserializeOwned>(command: &str, reply: &ActorReply) -> Result<T> {
    if reply.status == 200 {
        return serde_json::from_str(&reply.body)
            .map_err(|error| Error::internal(format!("{command}: unreadable answer: {error}")));
    }
    let refusal = serde_json::from_str::<LimiterRefusal>(&reply.body).map_err(|error| {
        Error::internal(format!(
            "{command}: {} without a refusal: {error}",
            reply.status
        ))
    })?;
    Err(match refusal.error {
        Code::NotFound => Error::not_found("lease").with_internal(refusal.message),
        Code::LeaseLost => Error::new(Code::LeaseLost, "Another holder has this lease.")
            .with_internal(refusal.message),
        Code::PayloadTooLarge => Error::new(Code::PayloadTooLarge, refusal.message),
        _ => Error::internal(format!("{command}: {}", refusal.message)),
    })
}
