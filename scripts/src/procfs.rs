//! What `/proc` tells about a process: enough to end the right one and never another.

use std::fs;

use serde::{Deserialize, Serialize};

/// A process that cannot be confused with a later one of the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The number.
    pub pid: i32,
    /// Clock ticks after boot at which it started, field 22 of `/proc/<pid>/stat`.
    pub start: u64,
}

impl ProcessId {
    /// The identity of a running process.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = Stat::read(pid)?;
        Some(Self {
            pid,
            start: stat.start,
        })
    }

    /// Whether this very process still runs. A zombie does not.
    pub fn is_alive(self) -> bool {
        Stat::read(self.pid).is_some_and(|stat| stat.start == self.start && stat.state != 'Z')
    }
}

/// The live processes of a group.
pub fn group_members(pgid: i32) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| Stat::read(*pid).is_some_and(|stat| stat.group == pgid && stat.state != 'Z'))
        .collect()
}

/// The processes of a group whose program has this name.
pub fn group_members_named(pgid: i32, name: &str) -> Vec<i32> {
    group_members(pgid)
        .into_iter()
        .filter(|pid| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name)
        })
        .collect()
}

struct Stat {
    state: char,
    group: i32,
    start: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name in parentheses may itself hold spaces and parentheses.
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.rsplit_once(')')?.1.split_whitespace();
        Some(Self {
            state: fields.next()?.chars().next()?,
            group: fields.nth(1)?.parse().ok()?,
            start: fields.nth(16)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_past_a_name_with_parentheses() {
        let stat = Stat::parse("7 (a) b) S 1 42 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 98765 1 1")
            .unwrap();
        assert_eq!((stat.state, stat.group, stat.start), ('S', 42, 98_765));
    }

    #[test]
    fn a_reused_number_is_another_process() {
        let me = ProcessId::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(me.is_alive());
        assert!(
            !ProcessId {
                start: me.start + 1,
                ..me
            }
            .is_alive()
        );
    }
}
