//! The one form of an image's key: `{instance_id}/{project_id}/{timestamp}_{name}-{image}.{ext}`.
//!
//! In scope: building it and recognising the image it belongs to. Out of scope: buckets.
//! The key is a pure function of the lease and the file's format, so a second run overwrites the same object.

use api_types::{ImageFormat, ImageId, InstanceId, ProjectId, Timestamp};

/// The longest last part of a key.
const MAX_FILE_LEN: usize = 80;

/// What the key of an image is made of.
#[derive(Clone, Copy, Debug)]
pub struct ImageKey<'a> {
    /// Instance.
    pub instance_id: &'a InstanceId,
    /// Project; `default` when there is none.
    pub project_id: Option<&'a ProjectId>,
    /// When the job was admitted.
    pub admitted_at: Timestamp,
    /// Name that the caller chose; `image` when none.
    pub filename: Option<&'a str>,
    /// The image.
    pub image_id: &'a ImageId,
    /// Format of the file.
    pub format: ImageFormat,
}

impl std::fmt::Display for ImageKey<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let prefix = image_key_prefix(self.instance_id, self.project_id, self.admitted_at);
        let (id, format) = (short_id(self.image_id), self.format.as_str());
        let timestamp_len = self.admitted_at.ms().to_string().len() + 1;
        let room = MAX_FILE_LEN.saturating_sub(timestamp_len + id.len() + format.len() + 2);
        let name = clean_name(self.filename.unwrap_or("image"), room);
        write!(f, "{prefix}{name}-{id}.{format}")
    }
}

/// What the keys of all images of a job start with.
pub fn image_key_prefix(
    instance_id: &InstanceId,
    project_id: Option<&ProjectId>,
    admitted_at: Timestamp,
) -> String {
    let project = project_id.map_or("default", ProjectId::as_str);
    format!("{instance_id}/{project}/{}_", admitted_at.ms())
}

/// The part of an image's id that stands in its key: the last 8 hexadecimal digits.
pub fn short_id(image_id: &ImageId) -> &str {
    let text = image_id.as_str();
    text.get(text.len().saturating_sub(8)..).unwrap_or(text)
}

/// Whether a key of the form above is that image's.
pub fn belongs_to(key: &str, image_id: &ImageId) -> bool {
    key.rsplit_once('.')
        .and_then(|(stem, _)| stem.rsplit_once('-'))
        .is_some_and(|(_, id)| id == short_id(image_id))
}

fn clean_name(name: &str, room: usize) -> String {
    let clean: String = name
        .chars()
        .map(|c| match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9' | '.' | '_' | '-') => c,
            _ => '-',
        })
        .skip_while(|c| *c == '.')
        .take(room)
        .collect();
    if clean.is_empty() {
        "image".to_owned()
    } else {
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(filename: Option<&str>, project: bool) -> String {
        let instance_id = InstanceId::parse("production").unwrap();
        let project_id = ProjectId::parse("0198f0a2-0000-7000-8000-00000000000a").unwrap();
        let image_id = ImageId::parse("0199a1c2-0000-7000-8000-00009f31c2aa").unwrap();
        ImageKey {
            instance_id: &instance_id,
            project_id: project.then_some(&project_id),
            admitted_at: Timestamp(1_763_719_203_240),
            filename,
            image_id: &image_id,
            format: ImageFormat::Png,
        }
        .to_string()
    }

    #[test]
    fn key_format_unchanged() {
        assert_eq!(
            key(None, true),
            "production/0198f0a2-0000-7000-8000-00000000000a/1763719203240_image-9f31c2aa.png"
        );
        assert_eq!(
            key(Some("../A Cat.PNG"), false),
            "production/default/1763719203240_-a-cat.png-9f31c2aa.png"
        );
    }

    #[test]
    fn a_key_is_recognised_by_its_image_only() {
        let image = ImageId::parse("0199a1c2-0000-7000-8000-00009f31c2aa").unwrap();
        let other = ImageId::parse("0199a1c2-0000-7000-8000-00009f31c2ab").unwrap();
        assert!(belongs_to(&key(Some("my-cat"), true), &image));
        assert!(!belongs_to(&key(Some("my-cat"), true), &other));
        assert!(!belongs_to("production/default/x", &image));
    }

    proptest! {
        #[test]
        fn any_name_gives_a_plain_bounded_file_in_its_folder(name in ".{0,200}") {
            let key = key(Some(&name), false);
            let file = key.strip_prefix("production/default/").unwrap();
            prop_assert!(!file.contains('/') && !file.contains('\\') && file.len() <= 80);
            prop_assert!(file.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b)));
            let name = file.split_once('_').unwrap().1;
            prop_assert!(!name.starts_with('.'));
        }
    }
}
