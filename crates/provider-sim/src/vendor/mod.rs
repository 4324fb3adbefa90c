//! The vendors that are imitated, one module each.
//!
//! In scope: prefixes and dispatch. A new vendor is a variant here and a module below.
//! Not in scope: anything that two vendors share (`call`, `contract`, `fault`, `world`).

mod ideogram;
mod localai;
mod openai;

use crate::call::{Answer, Call};
use crate::world::World;

/// A vendor and its contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Vendor {
    /// Ideogram v2.
    Ideogram,
    /// OpenAI images.
    OpenAi,
    /// A liberal local server that speaks like OpenAI.
    LocalAi,
}

impl Vendor {
    pub(crate) const ALL: [Self; 3] = [Self::Ideogram, Self::OpenAi, Self::LocalAi];

    /// Name in logs, charges and control calls; the adapter's name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ideogram => "ideogram",
            Self::OpenAi => "openai",
            Self::LocalAi => "localai",
        }
    }

    /// Path under which its API begins.
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::Ideogram => "/ideogram",
            Self::OpenAi => "/openai/v1",
            Self::LocalAi => "/localai/v1",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|vendor| vendor.name() == name)
    }

    /// The vendor of a path, and the rest of the path.
    pub(crate) fn of_path(path: &str) -> Option<(Self, &str)> {
        Self::ALL.into_iter().find_map(|vendor| {
            let rest = path.strip_prefix(vendor.prefix())?;
            (rest.is_empty() || rest.starts_with('/')).then_some((vendor, rest))
        })
    }

    /// Answers a call as this vendor would.
    pub(crate) fn answer(self, call: &mut Call, world: &mut World) -> Answer {
        match self {
            Self::Ideogram => ideogram::answer(call, world),
            Self::OpenAi => openai::answer(call, world),
            Self::LocalAi => localai::answer(call, world),
        }
    }
}
