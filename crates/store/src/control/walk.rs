//! How far one page of a filtered list looks.
//!
//! A list of one organization is bounded by what an organization may have. A superadmin's list of everything is not: its
//! page looks at [`EXAMINED`] rows at most, and where it stopped is where the next one begins, however few were found.

use super::columns;
use platform::Rows;

/// Rows that one page of a filtered list of the whole platform looks at.
pub const EXAMINED: i64 = 1_000;

/// `bound` for a superadmin, who alone walks along everything, `nobody` for all others. The caller's key is ?1.
pub(super) fn of_superadmin(bound: &str, nobody: &str) -> String {
    format!(
        "(SELECT iif(v.role = 'superadmin', {bound}, {nobody}) FROM api_keys c LEFT JOIN users v ON v.user_id = c.user_id WHERE c.key_id = ?1)"
    )
}

/// The last row of the page's walk: what follows the columns that tell its place.
pub(super) fn last() -> String {
    format!("LIMIT 1 OFFSET {}", EXAMINED - 1)
}

/// Reads the result of an `edge` statement: where the walk stopped, by the columns `first` and, if there is one,
/// `second`; `None` when it came to the end.
pub fn read(rows: &Rows) -> Option<Vec<String>> {
    let row = rows.first()?;
    let first = columns::text_or_null(row, "first")?;
    let second = columns::text_or_null(row, "second");
    Some(std::iter::once(first).chain(second).collect())
}
