//! The closed table of error codes: one row says everything that is fixed about a code.
//!
//! In scope: name, HTTP status, retry class, default hint. Out of scope: per-request details.

use serde::{Deserialize, Serialize};

/// What a caller may do with a failed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Change the request first; the same request fails again.
    Never,
    /// Wait for `Retry-After`, then send the same request again.
    Wait,
    /// The outcome is unknown and money may have been spent: ask for the job, never submit again.
    AskForOutcome,
}

macro_rules! codes {
    ($($variant:ident $name:literal $status:literal $retry:ident $hint:literal;)+) => {
        /// Every error code of the platform. It is part of the API contract and the metric label.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Code {
            $(
                #[doc = concat!("`", $name, "`, HTTP ", stringify!($status), ": ", $hint)]
                #[serde(rename = $name)]
                $variant,
            )+
        }

        impl Code {
            /// All codes, in the order of the table.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)+];

            /// The code as it stands in bodies, logs and metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $name,)+ }
            }

            /// The HTTP status it is answered with.
            pub const fn status(self) -> u16 {
                match self { $(Code::$variant => $status,)+ }
            }

            /// What the caller may do.
            pub const fn retry(self) -> Retry {
                match self { $(Code::$variant => Retry::$retry,)+ }
            }

            /// What to do about it, when the place that raised it has nothing better to say.
            pub const fn hint(self) -> &'static str {
                match self { $(Code::$variant => $hint,)+ }
            }
        }
    };
}

codes! {
    InvalidRequest "invalid_request" 400 Never "Correct the request as the message says.";
    UnknownField "unknown_field" 400 Never "Remove the field that details.field names, or correct its spelling.";
    InvalidField "invalid_field" 400 Never "Correct the field that details.field names.";
    ReadOnlyField "read_only_field" 400 Never "Set this member by the route that details.route names.";
    InvalidCursor "invalid_cursor" 400 Never "Start again without a cursor; a cursor belongs to the filters it came with.";
    InvalidConfig "invalid_config" 400 Never "Correct each member listed in details.problems.";
    InstanceRequired "instance_required" 400 Never "Name an instance: header X-Instance-ID or member instance_id.";
    ConflictingInstance "conflicting_instance" 400 Never "Header and body name different instances; send one of them.";
    InstanceMismatch "instance_mismatch" 400 Never "This deployment serves another instance; use the URL in details.";
    ProjectRequired "project_required" 400 Never "Name a project: header X-Project-ID or member project_id.";
    ProjectMismatch "project_mismatch" 400 Never "The project belongs to another instance; name that instance or another project.";
    RequestExceedsLimit "request_exceeds_limit" 400 Never "This request alone is larger than the limit; ask for less or raise the limit.";
    UnknownBucket "unknown_bucket" 400 Never "Choose a bucket that the instance is configured with.";
    OptionUnsupported "option_unsupported" 400 Never "Remove the option or choose a model that supports it.";
    PathwayUnknown "pathway_unknown" 400 Never "Choose one of the pathways in details.pathways.";
    RepoUrlInvalid "repo_url_invalid" 400 Never "Send an https URL of a repository, without user or password.";
    PatchInvalid "patch_invalid" 400 Never "Correct the patch at details.file and details.line.";
    AuthFailed "auth_failed" 401 Never "Send a valid API key: Authorization: Bearer sy_...";
    BudgetExceeded "budget_exceeded" 402 Never "Raise the budget or wait until its period ends.";
    Forbidden "forbidden" 403 Never "Use a key whose owner has access, or ask an administrator for access.";
    RoleRequired "role_required" 403 Never "This needs a higher role; ask an administrator.";
    ScopeMissing "scope_missing" 403 Never "Use a key that has the scope in details.scope.";
    InstancePaused "instance_paused" 403 Never "The instance is paused; an administrator can resume it.";
    OriginRefused "origin_refused" 403 Never "Open the console by its own host name.";
    CsrfRejected "csrf_rejected" 403 Never "Send it from the console's own pages, or with an API key in the Authorization header.";
    UrlExpired "url_expired" 403 Never "Ask for a new URL.";
    UrlInvalid "url_invalid" 403 Never "Use the URL exactly as it was given.";
    NotYourAgent "not_your_agent" 403 Never "Act with the key that registered the agent.";
    PathwayDisabled "pathway_disabled" 403 Never "Ask an administrator to enable it for the instance.";
    RepoNotAllowed "repo_not_allowed" 403 Never "Ask an administrator to allow the repository.";
    SignatureInvalid "signature_invalid" 403 Never "Sign the body as it is sent, with the current secret.";
    NotFound "not_found" 404 Never "Check the id and that the key may see it.";
    ArtifactNotFound "artifact_not_found" 404 Never "Read the list of artifacts of the run.";
    ArtifactNotReady "artifact_not_ready" 404 Wait "Wait for Retry-After; it is still being made.";
    MethodNotAllowed "method_not_allowed" 405 Never "Use one of the methods in the Allow header.";
    Conflict "conflict" 409 Never "Read the current state and decide anew.";
    NotEmpty "not_empty" 409 Never "Remove what details counts first.";
    LastAdmin "last_admin" 409 Never "Make somebody else an administrator first.";
    QuotaReached "quota_reached" 409 Never "Remove something that is not needed; details names the limit.";
    Protected "protected" 409 Never "Remove the protection first.";
    DeployManaged "deploy_managed" 409 Never "Only the deploy tool changes this; run it.";
    InvalidTransition "invalid_transition" 409 Never "details.allowed lists the states that can follow.";
    RotationInProgress "rotation_in_progress" 409 Never "Wait until the previous secret ends, or end it now with force.";
    SecretAlreadyShown "secret_already_shown" 409 Never "A secret is shown once; mint or rotate a key.";
    JobFinal "job_final" 409 Never "The job has ended; start a new one.";
    LeaseLost "lease_lost" 409 Never "Another holder has this lease; stop.";
    AlreadyClaimed "already_claimed" 409 Never "Take another task; details say who holds this one and until when.";
    NotReady "not_ready" 409 Never "Wait until what details.reasons lists is done, or take another task.";
    AgentBusy "agent_busy" 409 Never "Finish or release the claimed task first.";
    StaleFence "stale_fence" 409 Never "Stop: the claim has a newer holder.";
    ClaimEnded "claim_ended" 409 Never "Claim the task again before going on.";
    CriteriaOpen "criteria_open" 409 Never "Meet the criteria in details.open first.";
    GateUnmet "gate_unmet" 409 Never "Give the evidence that details.gates ask for.";
    PathConflict "path_conflict" 409 Never "Wait for the other claim, or work on other files.";
    ProjectPaused "project_paused" 409 Never "Resume the project first.";
    ProjectArchived "project_archived" 409 Never "Use another project; an archived one is read only.";
    GenerationRunning "generation_running" 409 Never "Wait for it to end, or cancel it.";
    AlreadyAnswered "already_answered" 409 Never "Read the answer; ask a new question if it does not help.";
    QueryIdInUse "query_id_in_use" 409 Never "Choose another query id.";
    NameTaken "name_taken" 409 Never "Choose another name.";
    TaskTerminal "task_terminal" 409 Never "Nothing more can be changed; start a new one.";
    TaskNotTerminal "task_not_terminal" 409 Never "Wait for its end, or cancel it.";
    IdempotencyInFlight "idempotency_in_flight" 409 Wait "The first request with this key still runs; ask for details.job_id.";
    InstanceNotActive "instance_not_active" 409 Wait "Wait until the instance is active.";
    EvidencePending "evidence_pending" 409 Wait "Wait for Retry-After; the evidence is being judged.";
    SandboxNotReady "sandbox_not_ready" 409 Wait "Wait for Retry-After; the sandbox is starting.";
    Gone "gone" 410 Never "It existed and was deleted; nothing replaces it.";
    VersionMismatch "version_mismatch" 412 Never "Somebody changed it; read it again and merge your change.";
    PayloadTooLarge "payload_too_large" 413 Never "Send a smaller body; details.max_bytes is the limit.";
    UnsupportedMediaType "unsupported_media_type" 415 Never "Send Content-Type: application/json.";
    RangeNotSatisfiable "range_not_satisfiable" 416 Never "Ask for a range inside the file; Content-Range tells its length.";
    HostRefused "host_refused" 421 Never "Use the host name that this deployment is known by.";
    IdempotencyMismatch "idempotency_mismatch" 422 Never "This Idempotency-Key was used with another body; use a new key.";
    NoRoute "no_route" 422 Never "details.skipped says why each provider was passed over.";
    PriceUnknown "price_unknown" 422 Never "Add a prices row for the model to the provider's settings.";
    RejectedBySafety "rejected_by_safety" 422 Never "The provider refused the content; change the prompt.";
    QualityRejected "quality_rejected" 422 Never "The image failed the quality check; it is kept and was paid for.";
    CapabilityMissing "capability_missing" 422 Never "Use an agent that has the capability in details.";
    DependencyCycle "dependency_cycle" 422 Never "Remove one edge of the cycle in details.path.";
    CrossProject "cross_project" 422 Never "Name things of one project only.";
    UnknownRecipient "unknown_recipient" 422 Never "Name an agent of the project.";
    NoOpenQuery "no_open_query" 422 Never "Read which questions are open.";
    LimitExceeded "limit_exceeded" 422 Never "Ask for less; details name the limit.";
    ImportInvalid "import_invalid" 422 Never "Correct each member listed in details.problems.";
    SnapshotRequired "snapshot_required" 422 Never "Read the snapshot, then go on from its sequence.";
    UpgradeRequired "upgrade_required" 426 Never "Open it as a WebSocket with one of the subprotocols in the Upgrade header.";
    PreconditionRequired "precondition_required" 428 Never "Send If-Match with the version that you read.";
    RateLimited "rate_limited" 429 Wait "Wait for Retry-After, then send the same request again.";
    QueueFull "queue_full" 429 Wait "Wait for Retry-After; the queue of this provider is full.";
    TooManyAuthFailures "too_many_auth_failures" 429 Wait "Stop sending wrong keys; wait a minute.";
    InternalError "internal_error" 500 Never "Report this with the request id.";
    DecryptionFailed "decryption_failed" 500 Never "Enter the provider key again; the stored one cannot be opened.";
    ProviderError "provider_error" 502 Never "The provider failed; details.kind says how. Try another provider or later.";
    ProviderAuth "provider_auth" 502 Never "The provider refused the instance's key; set a valid one.";
    ProviderQuota "provider_quota" 502 Never "The provider account has no credit or allowance left.";
    ResultExpired "result_expired" 502 Never "The provider no longer has the file; generate it again.";
    UpstreamRefused "upstream_refused" 502 Never "The registered worker URL is not allowed; correct the registry.";
    UpstreamUnavailable "upstream_unavailable" 502 Wait "The worker did not answer; try again shortly.";
    OutcomeUnknown "outcome_unknown" 502 AskForOutcome "The provider may have run it; ask for details.job_id, do not send it again.";
    StorageError "storage_error" 502 AskForOutcome "Storing failed and the job goes on; ask for details.job_id.";
    ConfigUnavailable "config_unavailable" 503 Wait "The control plane does not answer; try again shortly.";
    DatabaseUnavailable "database_unavailable" 503 Wait "The database does not answer; try again shortly.";
    LedgerUnavailable "ledger_unavailable" 503 Wait "The ledger does not answer; try again shortly.";
    LimiterUnavailable "limiter_unavailable" 503 Wait "The limiter does not answer, so nothing was sent; try again shortly.";
    ProviderUnavailable "provider_unavailable" 503 Wait "Every candidate's breaker is open; wait for Retry-After.";
    WorkerNotDeployed "worker_not_deployed" 503 Wait "Deploy this worker for the instance.";
    SandboxUnavailable "sandbox_unavailable" 503 Wait "No sandbox answers; try again shortly.";
    IsolationTooLow "isolation_too_low" 503 Wait "Run the task where the isolation that it needs exists.";
    Overloaded "overloaded" 503 Wait "Too many writers at once; try again shortly.";
    HubConflict "hub_conflict" 503 Wait "The project's hub moved; try again shortly.";
    ProviderTimeout "provider_timeout" 504 AskForOutcome "The job goes on; ask for details.status_url.";
    DeadlineExceeded "deadline_exceeded" 504 AskForOutcome "The deadline passed; ask for the outcome before sending it again.";
}

impl Code {
    /// Whether the same request may be sent again without asking for its outcome first.
    pub const fn retryable(self) -> bool {
        matches!(self.retry(), Retry::Wait)
    }

    /// The page that explains the code, relative to the documentation's root.
    pub fn docs_path(self) -> String {
        format!("/docs/errors#{}", self.as_str())
    }

    /// The code of that name.
    pub fn parse(name: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.as_str() == name)
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_snake_case_and_unique_and_has_a_hint() {
        let mut seen = std::collections::BTreeSet::new();
        for code in Code::ALL {
            let name = code.as_str();
            assert!(
                name.chars().all(|c| c.is_ascii_lowercase() || c == '_'),
                "{name}"
            );
            assert!(seen.insert(name), "{name} twice");
            assert!(
                code.hint().ends_with("..") || code.hint().ends_with('.'),
                "{name}"
            );
            assert!((400..600).contains(&code.status()), "{name}");
            assert_eq!(Code::parse(name), Some(*code));
            assert_eq!(serde_json::to_string(code).unwrap(), format!("\"{name}\""));
        }
    }

    /// The table of the specification, word for word: status, retry class, names.
    #[test]
    fn the_table_is_the_one_of_the_specification() {
        let wait = "idempotency_in_flight instance_not_active evidence_pending sandbox_not_ready artifact_not_ready \
            rate_limited queue_full too_many_auth_failures upstream_unavailable config_unavailable database_unavailable \
            ledger_unavailable limiter_unavailable provider_unavailable worker_not_deployed sandbox_unavailable \
            isolation_too_low overloaded hub_conflict";
        let ask = "outcome_unknown storage_error provider_timeout deadline_exceeded";
        let table = [
            (
                400,
                "invalid_request unknown_field invalid_field read_only_field invalid_cursor invalid_config instance_required \
                conflicting_instance instance_mismatch project_required project_mismatch request_exceeds_limit unknown_bucket \
                option_unsupported pathway_unknown repo_url_invalid patch_invalid",
            ),
            (401, "auth_failed"),
            (402, "budget_exceeded"),
            (
                403,
                "forbidden role_required scope_missing instance_paused csrf_rejected origin_refused not_your_agent \
                pathway_disabled repo_not_allowed url_expired url_invalid signature_invalid",
            ),
            (404, "not_found artifact_not_found artifact_not_ready"),
            (405, "method_not_allowed"),
            (
                409,
                "conflict not_empty last_admin quota_reached protected deploy_managed rotation_in_progress \
                secret_already_shown invalid_transition job_final lease_lost already_claimed not_ready agent_busy stale_fence \
                claim_ended criteria_open gate_unmet path_conflict project_paused project_archived generation_running \
                already_answered query_id_in_use name_taken task_terminal task_not_terminal idempotency_in_flight \
                instance_not_active evidence_pending sandbox_not_ready",
            ),
            (410, "gone"),
            (412, "version_mismatch"),
            (413, "payload_too_large"),
            (415, "unsupported_media_type"),
            (416, "range_not_satisfiable"),
            (421, "host_refused"),
            (
                422,
                "idempotency_mismatch no_route price_unknown rejected_by_safety quality_rejected capability_missing \
                dependency_cycle cross_project unknown_recipient no_open_query limit_exceeded import_invalid snapshot_required",
            ),
            (426, "upgrade_required"),
            (428, "precondition_required"),
            (429, "rate_limited queue_full too_many_auth_failures"),
            (500, "internal_error decryption_failed"),
            (
                502,
                "provider_error provider_auth provider_quota result_expired upstream_refused upstream_unavailable \
                outcome_unknown storage_error",
            ),
            (
                503,
                "config_unavailable database_unavailable ledger_unavailable limiter_unavailable provider_unavailable \
                worker_not_deployed sandbox_unavailable isolation_too_low overloaded hub_conflict",
            ),
            (504, "provider_timeout deadline_exceeded"),
        ];
        let mut named = 0;
        for (status, names) in table {
            for name in names.split_whitespace() {
                let code = Code::parse(name).unwrap();
                let retry = if wait.split_whitespace().any(|it| it == name) {
                    Retry::Wait
                } else if ask.split_whitespace().any(|it| it == name) {
                    Retry::AskForOutcome
                } else {
                    Retry::Never
                };
                assert_eq!((code.status(), code.retry()), (status, retry), "{name}");
                named += 1;
            }
        }
        assert_eq!(named, Code::ALL.len());
    }

    /// `docs/errors.md` says of each code what the table says.
    #[test]
    fn every_code_has_its_section_with_status_and_retry_class() {
        let folder = env!("CARGO_MANIFEST_DIR");
        let document = std::fs::read_to_string(format!("{folder}/../../docs/errors.md")).unwrap();
        for code in Code::ALL {
            let class = match code.retry() {
                Retry::Never => "n",
                Retry::Wait => "w",
                Retry::AskForOutcome => "u",
            };
            let start = format!(
                "## {code}\n\nStatus {}, retry class `{class}`: ",
                code.status()
            );
            assert!(document.contains(&start), "{start}");
            let (_, section) = document.split_once(&start).unwrap();
            let section = section.split("\n## ").next().unwrap();
            for part in ["- Meaning: ", "- Cause: ", "- Cure: "] {
                assert_eq!(section.matches(part).count(), 1, "{code}: {part}");
            }
        }
    }

    #[test]
    fn only_waiting_codes_are_retryable_and_a_spent_call_never_is() {
        for code in Code::ALL {
            assert_eq!(code.retryable(), code.retry() == Retry::Wait);
        }
        assert!(Code::RateLimited.retryable());
        for code in [
            Code::OutcomeUnknown,
            Code::ProviderTimeout,
            Code::ProviderError,
            Code::StorageError,
        ] {
            assert!(!code.retryable(), "{code}");
        }
    }
}
