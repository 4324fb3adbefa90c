//! Effective configurations built anew without anybody editing them: when prices turn, and when a body is found to
//! differ from its parts.
//!
//! In scope: building from parts, the sweeper's two steps. Out of scope: publication (`publish`, `sweep`).

use crate::abuse::AbuseGuard;
use crate::deps::Deps;
use crate::effective;
use crate::instance::edited_from;
use crate::sweep::Swept;
use api_types::{InstanceConfig, InstanceId, Timestamp};
use auth::chain::sha256_hex;
use errors::Result;
use platform::{Database, DbErrorKind, Ports};
use store::control::columns;
use store::control::parts::{Parts, Rebuilt, Which, mark_recounted, put_all};
use store::control::prices::{self, PriceOverride};

/// Instances whose prices have turned that are built anew in one run.
const MAX_DUE: i64 = 50;
/// A turn is looked for so long after it happened, in milliseconds; a longer outage is found by the recount.
const DUE_MS: i64 = 3_600_000;
/// Bodies compared with their parts in one run.
const MAX_RECOUNTED: i64 = 20;
/// Each body is compared once a day, in milliseconds.
const RECOUNT_MS: i64 = 86_400_000;

/// A body over its parts, with those prices.
#[derive(Clone, Debug)]
pub(crate) struct Anew {
    /// The configuration.
    pub config: InstanceConfig,
    /// What is stored of it.
    pub stored: Rebuilt,
    /// It says something new, so its version has risen.
    pub differs: bool,
}

/// Builds the body of an instance anew.
///
/// # Errors
/// 413 when it became too large; 500 for parts that are broken.
pub(crate) fn build(parts: &Parts, prices: &[PriceOverride], now: Timestamp) -> Result<Anew> {
    let same_version = effective::Parts {
        instance_id: &parts.instance_id,
        org_id: &parts.org_id,
        name: &parts.name,
        self_hosted: parts.self_hosted,
        worker_urls: &parts.worker_urls,
        config_version: parts.config_version,
        edited: edited_from(&parts.config, parts.instance_id.as_str())?,
        credentials: &parts.credentials,
        prices,
        now,
    };
    let mut config = effective::build(same_version)
        .map_err(|error| error.with_detail("instance_id", parts.instance_id.as_str()))?;
    // As types: members that have their default may be absent in the stored text.
    let before = parts.body.as_deref();
    let before = before.and_then(|body| serde_json::from_str::<InstanceConfig>(body).ok());
    let differs = before.as_ref() != Some(&config);
    if differs {
        config.config_version += 1;
    }
    let body = effective::text(&config)?;
    let stored = Rebuilt {
        instance_id: parts.instance_id.clone(),
        was: parts.config_version,
        config_version: config.config_version,
        sha256: sha256_hex(body.as_bytes()),
        body,
    };
    Ok(Anew {
        config,
        stored,
        differs,
    })
}

impl<P: Ports, G: AbuseGuard> Deps<P, G> {
    /// Builds bodies anew whose prices began or ended, then compares some bodies with their parts, also when the first
    /// failed. Runs before publication, which takes up what these steps wrote.
    pub(crate) async fn rebuild_bodies(&self, now: Timestamp, swept: &mut Swept) {
        match self.rebuild_due(now).await {
            Ok(due) => {
                swept.rebuilt = due.len();
                if due.len() as i64 >= MAX_DUE {
                    // Bodies that are due differ from their parts, and that is no fault.
                    return;
                }
            }
            Err(error) => swept.fail("prices", &error),
        }
        match self.recount(now).await {
            Ok((recounted, differing)) => {
                swept.recounted = recounted;
                swept.rebuilt += differing;
            }
            Err(error) => swept.fail("recount", &error),
        }
    }

    async fn rebuild_due(&self, now: Timestamp) -> Result<Vec<InstanceId>> {
        let since = now.plus_ms(-DUE_MS);
        let rows = self
            .database
            .query(prices::due(since, now, MAX_DUE))
            .await?;
        let due: Vec<InstanceId> = rows
            .rows
            .iter()
            .map(|row| columns::word(row, "instance_id"))
            .collect::<Result<_>>()?;
        if !due.is_empty() {
            let which = Which::Ids(&due);
            let rows = self.read(which.statements(now).to_vec()).await?;
            for parts in Parts::read_all(&rows)? {
                match build(&parts, &parts.prices, now) {
                    // Also without a difference: its time says that the turn was seen.
                    Ok(anew) => self.put_anew(&anew, now).await?,
                    Err(error) => told(&parts.instance_id, &error),
                }
            }
        }
        Ok(due)
    }

    async fn recount(&self, now: Timestamp) -> Result<(usize, usize)> {
        let which = Which::NotRecountedSince(now.plus_ms(-RECOUNT_MS), MAX_RECOUNTED);
        let rows = self.read(which.statements(now).to_vec()).await?;
        let all = Parts::read_all(&rows)?;
        let mut differing = 0;
        for parts in &all {
            match build(parts, &parts.prices, now) {
                Ok(anew) if anew.differs => {
                    tracing::error!(instance_id = %parts.instance_id, config_version = parts.config_version, "a stored configuration differs from its parts");
                    self.put_anew(&anew, now).await?;
                    differing += 1;
                }
                Ok(_) => {}
                Err(error) => told(&parts.instance_id, &error),
            }
        }
        if !all.is_empty() {
            let ids: Vec<InstanceId> = all.iter().map(|one| one.instance_id.clone()).collect();
            self.database.query(mark_recounted(&ids, now)).await?;
        }
        Ok((all.len(), differing))
    }

    /// Writes one; where somebody else was faster, his is newer.
    async fn put_anew(&self, anew: &Anew, now: Timestamp) -> Result<()> {
        let batch = put_all(std::slice::from_ref(&anew.stored), now);
        match self.database.batch(batch).await {
            Err(error) if error.kind == DbErrorKind::Guard => Ok(()),
            other => Ok(other.map(drop)?),
        }
    }
}

/// One instance whose parts are broken must not keep the others.
fn told(instance_id: &InstanceId, error: &errors::Error) {
    tracing::error!(instance_id = %instance_id, error = %error, "a configuration cannot be built anew");
}
