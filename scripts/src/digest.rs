//! SHA-256 of texts, files and whole folders.

use std::fs;
use std::path::{Path, PathBuf};

use ring::digest::{Context as Sha, SHA256};

use crate::failure::{Context, Result};

/// Hex SHA-256 of some bytes.
pub fn of_bytes(bytes: &[u8]) -> String {
    hex(ring::digest::digest(&SHA256, bytes).as_ref())
}

/// Hex SHA-256 of a file.
pub fn of_file(path: &Path) -> Result<String> {
    Ok(of_bytes(&fs::read(path).context(path.display())?))
}

/// Hex SHA-256 over names and contents of the files, in the order of their names.
pub fn of_files(root: &Path, mut files: Vec<PathBuf>) -> Result<String> {
    files.sort();
    files.dedup();
    let mut sha = Sha::new(&SHA256);
    for file in files {
        let name = file.strip_prefix(root).unwrap_or(&file).to_string_lossy();
        let content = fs::read(&file).context(file.display())?;
        // Lengths keep `ab`+`c` apart from `a`+`bc`.
        sha.update(&(name.len() as u64).to_le_bytes());
        sha.update(name.as_bytes());
        sha.update(&(content.len() as u64).to_le_bytes());
        sha.update(&content);
    }
    Ok(hex(sha.finish().as_ref()))
}

/// Every file below `dir` for which no part of the path is refused by `skip`.
pub fn files_below(dir: &Path, skip: &dyn Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).context(dir.display())? {
            let entry = entry.context(dir.display())?;
            let path = entry.path();
            if skip(&path) {
                continue;
            }
            let kind = entry.file_type().context(path.display())?;
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(
                DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'?'),
            ));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_text_has_the_published_digest() {
        assert_eq!(
            of_bytes(b""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn moving_a_byte_between_two_files_changes_the_digest() {
        let dir = crate::scratch::Scratch::new("digest");
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&a, "xy").unwrap();
        fs::write(&b, "z").unwrap();
        let before = of_files(dir.path(), vec![a.clone(), b.clone()]).unwrap();
        fs::write(&a, "x").unwrap();
        fs::write(&b, "yz").unwrap();
        assert_ne!(before, of_files(dir.path(), vec![b, a]).unwrap());
    }
}
