//! Looks for secrets in everything that the system has written: state of all stores, and logs.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use crate::failure::{Context, Result};

/// Each secret in the forms in which it could lie around: as it is, as its bytes where it is base64, in base64, in percent.
pub(super) fn forms(secrets: &[String]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for secret in secrets {
        forms.push(secret.as_bytes().to_vec());
        forms.push(STANDARD_NO_PAD.encode(secret).into_bytes());
        forms.extend(STANDARD.decode(secret).ok());
        let percent = |byte: u8| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        };
        forms.push(secret.bytes().map(percent).collect::<String>().into_bytes());
    }
    forms.sort_unstable();
    forms.dedup();
    forms
}

/// Files below `dirs` that hold one of them, and how many bytes were looked through.
pub(super) fn search(dirs: &[PathBuf], forms: &[Vec<u8>]) -> Result<(Vec<PathBuf>, u64)> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    for dir in dirs {
        walk(dir, &mut |path, content| {
            bytes += content.len() as u64;
            if holds(content, forms) {
                found.push(path.to_owned());
            }
        })?;
    }
    Ok((found, bytes))
}

fn walk(dir: &Path, look: &mut impl FnMut(&Path, &[u8])) -> Result<()> {
    for entry in fs::read_dir(dir).context(dir.display())? {
        let entry = entry.context(dir.display())?;
        let path = entry.path();
        if entry.file_type().context(path.display())?.is_dir() {
            walk(&path, look)?;
        } else if let Ok(content) = fs::read(&path) {
            // A file that the runtime removed meanwhile holds nothing any more.
            look(&path, &content);
        }
    }
    Ok(())
}

fn holds(content: &[u8], forms: &[Vec<u8>]) -> bool {
    (0..content.len()).any(|at| {
        let rest = content.get(at..).unwrap_or_default();
        forms.iter().any(|form| rest.starts_with(form))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn every_form_is_found_at_any_place_and_nothing_else() {
        let secret = "c2VjcmV0IGtleS8rPQ==".to_owned();
        let forms = forms(std::slice::from_ref(&secret));
        let planted = [
            secret.clone(),
            "secret key/+=".to_owned(),
            STANDARD.encode(&secret),
            "c2VjcmV0IGtleS8rPQ%3D%3D".to_owned(),
        ];
        for text in planted {
            let dir = Scratch::new("needles");
            let below = dir.path().join("a/b");
            fs::create_dir_all(&below).unwrap();
            fs::write(below.join("clean"), "c2VjcmV0IGtleS8rPg secret key/+-").unwrap();
            let dirs = [dir.path().to_owned()];
            assert_eq!(search(&dirs, &forms).unwrap(), (Vec::new(), 32));
            fs::write(below.join("dirty"), format!("x{text}y")).unwrap();
            let (found, _) = search(&dirs, &forms).unwrap();
            assert_eq!(found, [below.join("dirty")], "{text}");
        }
    }
}
