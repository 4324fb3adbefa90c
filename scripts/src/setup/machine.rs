//! What the machine itself must have.

use std::path::Path;

use crate::failure::{Context, Result};

/// `git version 2.39.5 (Apple Git)` -> `(2, 39)`.
pub(super) fn version_in(text: &str) -> Option<(u32, u32)> {
    text.split_whitespace().find_map(|word| {
        let mut parts = word.split('.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?.parse().ok()?;
        Some((major, minor))
    })
}

/// Free space for this user, in MB.
pub(super) fn free_disk_mb(path: &Path) -> Result<u64> {
    let stat = nix::sys::statvfs::statvfs(path).context(path.display())?;
    let blocks: u64 = stat.blocks_available();
    Ok(blocks * stat.fragment_size() / 1_000_000)
}

/// `commit-date: 2026-11-01` of `rustc -vV`.
pub(super) fn commit_date(verbose_version: &str) -> Option<&str> {
    verbose_version
        .lines()
        .find_map(|line| line.strip_prefix("commit-date: "))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_version_in_what_git_prints() {
        assert_eq!(
            version_in("git version 2.39.5 (Apple Git-154)"),
            Some((2, 39))
        );
        assert_eq!(version_in("git version 2.9"), Some((2, 9)));
        assert!(version_in("2.9") < version_in("2.30"));
        assert_eq!(version_in("not found"), None);
    }

    #[test]
    fn reads_the_date_of_a_nightly() {
        let text = "rustc 1.99.0-nightly\nbinary: rustc\ncommit-date: 2026-11-01\nhost: x\n";
        assert_eq!(commit_date(text), Some("2026-11-01"));
        assert_eq!(commit_date("rustc 1.95.0"), None);
    }
}
