//! What the vendors would have billed.
//!
//! In scope: charges, which of them nobody saw, which were made twice. Not in scope: prices.

use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// Charges kept; the oldest are dropped and counted.
const KEPT: usize = 50_000;

/// Charges without request id and tag, with equal bodies, are duplicates within this time.
const SAME_BODY_WINDOW_MS: u64 = 60_000;

/// One billed piece of work.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Charge {
    /// `c1`, `c2`, and so on.
    pub charge_id: String,
    /// When, on the simulator's clock.
    pub at: String,
    /// Prefix name of the vendor, such as `ideogram`.
    pub provider: String,
    /// Account named by the key.
    pub account: String,
    /// The vendor's job id.
    pub job_id: String,
    /// Model that ran.
    pub model: String,
    /// Pictures made.
    pub images: u32,
    /// Price in millionths of a US dollar.
    pub usd_micros: u64,
    /// The caller's `X-Request-Id`.
    pub request_id: Option<String>,
    /// SHA-256 of path and body.
    pub fingerprint: String,
    /// Value of `sim:once=<tag>`.
    pub tag: Option<String>,
    /// False: the work is paid and its answer never left.
    pub answered: bool,
    #[serde(skip)]
    at_ms: u64,
    #[serde(skip)]
    withdrawn: bool,
}

/// A charge that is not written down yet.
pub(crate) struct NewCharge {
    pub(crate) at_ms: u64,
    pub(crate) provider: &'static str,
    pub(crate) account: String,
    pub(crate) job_id: String,
    pub(crate) model: String,
    pub(crate) images: u32,
    pub(crate) usd_micros: u64,
    pub(crate) request_id: Option<String>,
    pub(crate) fingerprint: String,
    pub(crate) tag: Option<String>,
}

/// Number of a charge, for marking it later.
pub(crate) type ChargeNumber = u64;

/// Charges that belong to one piece of work.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Duplicates {
    /// `request_id:..`, `tag:..` or `fingerprint:..`.
    pub key: String,
    /// Ids of the charges.
    pub charges: Vec<String>,
}

/// All charges, oldest first.
#[derive(Default)]
pub(crate) struct Ledger {
    charges: VecDeque<Charge>,
    /// Number of the first charge that is still kept.
    first: ChargeNumber,
    pub(crate) dropped: u64,
}

impl Ledger {
    /// Writes a charge down; its answer has not left yet.
    pub(crate) fn add(&mut self, new: NewCharge) -> ChargeNumber {
        let number = self.first + self.charges.len() as u64;
        self.charges.push_back(Charge {
            charge_id: format!("c{}", number + 1),
            at: crate::clock::timestamp(new.at_ms),
            provider: new.provider.to_owned(),
            account: new.account,
            job_id: new.job_id,
            model: new.model,
            images: new.images,
            usd_micros: new.usd_micros,
            request_id: new.request_id,
            fingerprint: new.fingerprint,
            tag: new.tag,
            answered: false,
            at_ms: new.at_ms,
            withdrawn: false,
        });
        if self.charges.len() > KEPT {
            self.charges.pop_front();
            self.first += 1;
            self.dropped += 1;
        }
        number
    }

    fn get_mut(&mut self, number: ChargeNumber) -> Option<&mut Charge> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.charges.get_mut(index)
    }

    /// The answer has left.
    pub(crate) fn answered(&mut self, number: ChargeNumber) {
        if let Some(charge) = self.get_mut(number) {
            charge.answered = true;
        }
    }

    /// The work failed after all: a failed job is not billed.
    pub(crate) fn withdraw(&mut self, number: ChargeNumber) {
        if let Some(charge) = self.get_mut(number) {
            charge.withdrawn = true;
        }
    }

    /// Forgets the charges of one account, or all.
    pub(crate) fn forget(&mut self, account: Option<&str>) {
        match account {
            // Numbers stay unique: an answer on its way must not mark another charge.
            None => {
                self.first += self.charges.len() as u64;
                self.charges.clear();
                self.dropped = 0;
            }
            Some(account) => {
                for charge in &mut self.charges {
                    charge.withdrawn |= charge.account == account;
                }
            }
        }
    }

    /// What is billed, oldest first.
    pub(crate) fn billed(&self) -> impl Iterator<Item = &Charge> {
        self.charges.iter().filter(|charge| !charge.withdrawn)
    }

    /// Work that was billed more than once.
    pub(crate) fn duplicates(&self, account: Option<&str>) -> Vec<Duplicates> {
        // Each key has its groups in time; only equal bodies start a new one after a while.
        let mut groups: BTreeMap<String, Vec<Vec<&Charge>>> = BTreeMap::new();
        let mut put = |key: String, charge, window_ms: u64| {
            let groups = groups.entry(key).or_default();
            match groups.last_mut() {
                Some(group)
                    if group
                        .last()
                        .is_some_and(|last| is_within(last, charge, window_ms)) =>
                {
                    group.push(charge);
                }
                _ => groups.push(vec![charge]),
            }
        };
        for charge in self.billed() {
            if account.is_some_and(|account| account != charge.account) {
                continue;
            }
            if let Some(id) = &charge.request_id {
                put(format!("request_id:{id}"), charge, u64::MAX);
            }
            if let Some(tag) = &charge.tag {
                put(format!("tag:{tag}"), charge, u64::MAX);
            }
            if charge.request_id.is_none() && charge.tag.is_none() {
                let key = format!("fingerprint:{}", charge.fingerprint);
                put(key, charge, SAME_BODY_WINDOW_MS);
            }
        }
        groups
            .into_iter()
            .flat_map(|(key, groups)| groups.into_iter().map(move |group| (key.clone(), group)))
            .filter(|(_, charges)| charges.len() > 1)
            .map(|(key, charges)| Duplicates {
                key,
                charges: charges
                    .iter()
                    .map(|charge| charge.charge_id.clone())
                    .collect(),
            })
            .collect()
    }
}

fn is_within(earlier: &Charge, later: &Charge, window_ms: u64) -> bool {
    later.at_ms.saturating_sub(earlier.at_ms) <= window_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charge(at_ms: u64, request_id: Option<&str>, tag: Option<&str>) -> NewCharge {
        NewCharge {
            at_ms,
            provider: "ideogram",
            account: "acme".into(),
            job_id: "job".into(),
            model: "ideogram-3".into(),
            images: 1,
            usd_micros: 60_000,
            request_id: request_id.map(Into::into),
            fingerprint: "sha256:ab".into(),
            tag: tag.map(Into::into),
        }
    }

    fn keys(charges: Vec<NewCharge>) -> Vec<String> {
        let mut ledger = Ledger::default();
        for charge in charges {
            ledger.add(charge);
        }
        ledger
            .duplicates(None)
            .into_iter()
            .map(|group| group.key)
            .collect()
    }

    #[test]
    fn equal_request_ids_and_tags_are_duplicates_at_any_time() {
        let twice = vec![
            charge(0, Some("r1"), None),
            charge(9_000_000, Some("r1"), None),
        ];
        assert_eq!(keys(twice), ["request_id:r1"]);
        let twice = vec![
            charge(0, Some("r1"), Some("t")),
            charge(9, Some("r2"), Some("t")),
        ];
        assert_eq!(keys(twice), ["tag:t"]);
        assert!(
            keys(vec![
                charge(0, Some("r1"), None),
                charge(0, Some("r2"), None)
            ])
            .is_empty()
        );
    }

    #[test]
    fn equal_bodies_are_duplicates_only_within_a_minute_and_without_other_marks() {
        assert_eq!(
            keys(vec![charge(0, None, None), charge(60_000, None, None)]).len(),
            1
        );
        assert!(keys(vec![charge(0, None, None), charge(60_001, None, None)]).is_empty());
        assert!(keys(vec![charge(0, Some("r"), None), charge(1, None, None)]).is_empty());
        let third = vec![
            charge(0, None, None),
            charge(70_000, None, None),
            charge(71_000, None, None),
        ];
        assert_eq!(keys(third).len(), 1);
    }

    #[test]
    fn a_withdrawn_charge_is_not_billed() {
        let mut ledger = Ledger::default();
        let number = ledger.add(charge(0, None, None));
        ledger.withdraw(number);
        assert_eq!(ledger.billed().count(), 0);
    }

    #[test]
    fn the_oldest_charges_are_dropped_and_counted() {
        let mut ledger = Ledger::default();
        for _ in 0..KEPT + 3 {
            ledger.add(charge(0, None, None));
        }
        assert_eq!((ledger.billed().count(), ledger.dropped), (KEPT, 3));
        ledger.answered(KEPT as u64 + 2);
        assert!(ledger.billed().last().is_some_and(|last| last.answered));
    }

    #[test]
    fn charge_format_unchanged() {
        let mut ledger = Ledger::default();
        ledger.add(charge(1_795_255_200_000, Some("0199..0"), None));
        let json = serde_json::to_string(ledger.billed().next().unwrap()).unwrap();
        assert_eq!(
            json,
            r#"{"charge_id":"c1","at":"2026-11-21T10:00:00.000Z","provider":"ideogram","account":"acme","job_id":"job","model":"ideogram-3","images":1,"usd_micros":60000,"request_id":"0199..0","fingerprint":"sha256:ab","tag":null,"answered":false}"#
        );
    }
}
