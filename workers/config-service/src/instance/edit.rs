//! The one way in which what people edit changes: by PATCH, or by a route for one member.
//!
//! 1. What stands there is read with everything that the effective configuration is made of.
//! 2. The route says what shall stand there; mistakes of form are kept.
//! 3. `If-Match` (428, 412); who is too late and made mistakes of form is told these first (400).
//! 4. The whole new configuration is judged; all problems at once (400, 413). A rule that was broken before, by a value that
//!    this edit leaves alone, is logged and refuses nothing.
//! 5. Nothing new: the same version and no audit entry.
//! 6. What only the deploy tool may change (409 `deploy_managed`).
//! 7. Row, effective configuration, versions.

use super::config::{self, Around, Faults};
use super::{Shown, edited_from, flat, usable};
use crate::answer::Answer;
use crate::change::{Audited, Decision, Outcome};
use crate::effective::{self, Parts};
use crate::patch::changes;
use api_types::{
    InstanceConfig, InstanceId, InstanceStatus, Role, Timestamp, UserId, ValidateContext,
};
use auth::chain::sha256_hex;
use errors::{Code, Error, Result};
use middleware::Presented;
use platform::Statement;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use store::control::credentials::{self, CredentialRow};
use store::control::instances::{self, Edited, InstanceRow};
use store::control::prices::{self, PriceOverride};
use store::control::{access, deployments};

/// What every edit reads. `scopes` are those of budgets that must exist.
pub(super) fn reads(
    caller: &Presented,
    instance_id: &InstanceId,
    scopes: Option<&[String]>,
    now: Timestamp,
) -> Vec<Statement> {
    let caller = &caller.key.key_id;
    let mut statements = vec![
        instances::for_caller(caller, instance_id),
        credentials::current(instance_id),
        prices::of_instance(instance_id, now),
        access::users_of(instance_id),
        deployments::running(instance_id, now),
    ];
    let known = |scopes| instances::known_scopes(Some(instance_id), None, caller, scopes);
    statements.extend(scopes.map(known));
    statements
}

/// An instance with everything around it, before or after an edit.
#[derive(Clone, Debug)]
pub(super) struct Current {
    /// The row.
    pub row: InstanceRow,
    /// The current provider keys.
    pub keys: Vec<CredentialRow>,
    /// Prices that hold now or later.
    pub prices: Vec<PriceOverride>,
    /// Users with access.
    pub users: Vec<UserId>,
    /// The deploy tool is at work on it.
    pub in_deployment: bool,
}

/// The part that people edit.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Document {
    /// Name.
    pub name: String,
    /// Configuration, as it was written.
    pub config: Value,
    /// URLs of its workers.
    pub worker_urls: BTreeMap<String, String>,
    /// Whether a superadmin marked it as self-hosted.
    pub self_hosted: bool,
}

impl Document {
    fn audited(&self) -> Value {
        json!({
            "name": self.name, "config": self.config,
            "worker_urls": self.worker_urls, "self_hosted": self.self_hosted,
        })
    }
}

impl Current {
    /// Reads the results of [`reads`].
    ///
    /// # Errors
    /// 404, 403.
    pub(super) fn read(decision: &Decision<'_>) -> Result<Self> {
        Ok(Self {
            row: usable(decision)?,
            keys: CredentialRow::read_all(&decision.rows(1))?,
            prices: PriceOverride::read_all(&decision.rows(2))?,
            users: access::read_users(&decision.rows(3))?,
            in_deployment: decision.count(4) > 0,
        })
    }

    /// What stands there.
    pub(super) fn document(&self) -> Document {
        Document {
            name: self.row.name.clone(),
            config: self.row.config.clone(),
            worker_urls: self.row.worker_urls.clone(),
            self_hosted: self.row.self_hosted,
        }
    }

    /// The whole instance, flat.
    ///
    /// # Errors
    /// 500 when it has no effective configuration.
    pub(super) fn flat(&self, role: Role) -> Result<Value> {
        let id = &self.row.instance_id;
        let config = self
            .row
            .effective
            .as_ref()
            .ok_or_else(|| Error::internal(format!("{id} has no effective configuration")))?;
        flat(config, &Shown::of(&self.row, &self.users, &self.keys), role)
    }

    fn after(&self, wanted: Document, config: InstanceConfig, now: Timestamp) -> Self {
        let row = InstanceRow {
            name: wanted.name,
            config: wanted.config,
            worker_urls: wanted.worker_urls,
            self_hosted: wanted.self_hosted,
            version: self.row.version + 1,
            config_version: config.config_version,
            updated_at: Some(now),
            effective: Some(config),
            ..self.row.clone()
        };
        Self {
            row,
            ..self.clone()
        }
    }
}

/// An edit that is being decided.
pub(super) struct Edit<'a> {
    /// On what.
    pub decision: &'a Decision<'a>,
    /// What stands there.
    pub current: &'a Current,
    /// What the route's answer tells, and a caller that is too late.
    pub show: &'a dyn Fn(&Current) -> Result<Value>,
}

impl Edit<'_> {
    /// Steps 3 to 7.
    ///
    /// # Errors
    /// Those of the steps.
    pub(super) fn decide(&self, wanted: Document, mut faults: Faults) -> Result<Outcome> {
        let (decision, current) = (self.decision, self.current);
        let row = &current.row;
        let current_value = || (self.show)(current).unwrap_or_default();
        if let Err(too_late) = decision.check_version(row.version, current_value) {
            faults.into_result()?;
            return Err(too_late);
        }
        let around = Around {
            context: ValidateContext {
                local: decision.settings.is_local(),
                self_hosted: wanted.self_hosted,
                now: decision.now,
            },
            keyed: current
                .keys
                .iter()
                .map(|key| key.provider.clone())
                .collect(),
            known_scopes: match decision.rows.get(5) {
                Some(rows) => Some(instances::read_scopes(rows)?),
                None => None,
            },
        };
        let edited = config::read(&wanted.config, &around, &mut faults)?;
        if faults.breaks_a_rule() {
            self.forgive_what_stood(&wanted, around, &mut faults)?;
        }
        faults.into_result()?;
        if wanted == current.document() {
            return Ok(Outcome::unchanged(self.answer(current)?));
        }
        let before = edited_from(&row.config, row.instance_id.as_str())?;
        self.check_managed(
            &wanted,
            before.r2_bucket.as_deref(),
            edited.r2_bucket.as_deref(),
        )?;
        let now = decision.now;
        let config_version = row.config_version + 1;
        let config = effective::build(Parts {
            instance_id: &row.instance_id,
            org_id: &row.org_id,
            name: &wanted.name,
            self_hosted: wanted.self_hosted,
            worker_urls: &wanted.worker_urls,
            config_version,
            edited,
            credentials: &current.keys,
            prices: &current.prices,
            now,
        })?;
        let body = effective::text(&config)?;
        let sha256 = sha256_hex(body.as_bytes());
        let (was, is) = changes(&current.document().audited(), &wanted.audited());
        let statements = vec![
            instances::guard_version(&row.instance_id, row.version),
            instances::guard_config_version(&row.instance_id, row.config_version),
            instances::edit(
                &row.instance_id,
                Edited {
                    name: &wanted.name,
                    config: &wanted.config.to_string(),
                    worker_urls: &json!(wanted.worker_urls).to_string(),
                    self_hosted: wanted.self_hosted,
                },
                now,
            ),
            instances::put_effective(&row.instance_id, config_version, &body, &sha256, now),
        ];
        let after = current.after(wanted, config.clone(), now);
        Ok(Outcome {
            statements,
            audited: Some(Audited {
                target_type: "instance",
                target_id: row.instance_id.to_string(),
                instance_id: Some(row.instance_id.clone()),
                before: was,
                after: is,
            }),
            answer: self.answer(&after)?,
            publish: Some(config),
        })
    }

    /// Step 4, for what stood there before.
    fn forgive_what_stood(
        &self,
        wanted: &Document,
        around: Around,
        faults: &mut Faults,
    ) -> Result<()> {
        let row = &self.current.row;
        let mut before = Faults::default();
        let around = Around {
            context: ValidateContext {
                self_hosted: row.self_hosted,
                ..around.context
            },
            // Only those that the edit names were looked up, and these it touches.
            known_scopes: None,
            ..around
        };
        config::read(&row.config, &around, &mut before)?;
        for problem in faults.forgive(&before, &row.config, &wanted.config) {
            tracing::warn!(
                instance_id = row.instance_id.as_str(),
                pointer = problem.pointer,
                rule = problem.rule,
                "a stored configuration breaks a rule"
            );
        }
        Ok(())
    }

    fn answer(&self, current: &Current) -> Result<Answer> {
        Ok(Answer::ok((self.show)(current)?).at_version(current.row.version))
    }

    /// The bucket holds the images, and the URL of image-gen says that there may be work to ask for before the instance
    /// goes: once they are in use, only a run of the deploy tool takes them away.
    fn check_managed(&self, wanted: &Document, was: Option<&str>, is: Option<&str>) -> Result<()> {
        let row = &self.current.row;
        if row.status == InstanceStatus::Deploying || self.current.in_deployment {
            return Ok(());
        }
        let refuse = |field: &str, why: &str| {
            Err(Error::new(Code::DeployManaged, why.to_owned()).with_detail("field", field))
        };
        if was.is_some() && was != is {
            return refuse(
                "config.r2_bucket",
                "The bucket of a deployed instance is changed by the deploy tool: its images would be left behind.",
            );
        }
        let has = |urls: &BTreeMap<String, String>| urls.contains_key("image_gen");
        if has(&row.worker_urls) && !has(&wanted.worker_urls) {
            return refuse(
                "image_gen",
                "The URL of a deployed image-gen is taken away by the deploy tool.",
            );
        }
        Ok(())
    }
}
