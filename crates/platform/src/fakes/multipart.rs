//! Multipart uploads of the fake bucket, with the platform's rules.

use super::stored::{etag, failed};
use crate::{PortError, PutOptions};
use bytes::Bytes;
use std::collections::BTreeMap;

const MIN_PART_BYTES: usize = 5 * 1_024 * 1_024;
const MAX_PARTS: u16 = 10_000;

#[derive(Debug)]
struct Upload {
    key: String,
    options: PutOptions,
    parts: BTreeMap<u16, (String, Bytes)>,
}

#[derive(Debug, Default)]
pub(super) struct Uploads {
    next: u32,
    open: BTreeMap<String, Upload>,
}

impl Uploads {
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    pub(super) fn create(&mut self, key: &str, options: &PutOptions) -> String {
        self.next += 1;
        let id = format!("upload-{}", self.next);
        let upload = Upload {
            key: key.to_owned(),
            options: options.clone(),
            parts: BTreeMap::new(),
        };
        self.open.insert(id.clone(), upload);
        id
    }

    pub(super) fn part(
        &mut self,
        key: &str,
        id: &str,
        number: u16,
        bytes: Bytes,
    ) -> Result<String, PortError> {
        let upload = self.open.get_mut(id).filter(|upload| upload.key == key);
        let upload = upload.ok_or_else(missing)?;
        if number == 0 || number > MAX_PARTS {
            return Err(failed("part numbers go from 1 to 10,000"));
        }
        let tag = etag(&bytes);
        upload.parts.insert(number, (tag.clone(), bytes));
        Ok(tag)
    }

    pub(super) fn complete(
        &mut self,
        key: &str,
        id: &str,
        parts: &[(u16, String)],
    ) -> Result<(Bytes, PutOptions), PortError> {
        let upload = self.open.get(id).filter(|upload| upload.key == key);
        let upload = upload.ok_or_else(missing)?;
        let mut named = parts.to_vec();
        named.sort();
        let mut all = Vec::new();
        let mut sizes = Vec::new();
        for (number, tag) in &named {
            let found = upload.parts.get(number).filter(|(held, _)| held == tag);
            let (_, bytes) = found.ok_or_else(|| failed("a part could not be found"))?;
            sizes.push(bytes.len());
            all.extend_from_slice(bytes);
        }
        if let Some((last, others)) = sizes.split_last() {
            let first = others.first().copied().unwrap_or(*last);
            if others.iter().any(|size| *size < MIN_PART_BYTES) {
                return Err(failed("a part that is not the last is under 5 MiB"));
            }
            if others.iter().any(|size| *size != first) || *last > first {
                return Err(failed("all parts but the last must be of equal size"));
            }
        }
        let options = upload.options.clone();
        self.open.remove(id);
        Ok((all.into(), options))
    }

    pub(super) fn abort(&mut self, key: &str, id: &str) {
        if self.open.get(id).is_some_and(|upload| upload.key == key) {
            self.open.remove(id);
        }
    }
}

fn missing() -> PortError {
    failed("the multipart upload does not exist")
}
