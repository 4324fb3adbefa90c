//! What is written beside an image, so that an object found alone can be explained and adopted.

use api_types::{
    CostBasis, ImageId, InstanceId, JobId, LeaseId, ProjectId, ProviderName, Timestamp, Visibility,
};
use std::fmt::Write as _;

/// The most that names and values may take together.
pub const MAX_METADATA_BYTES: usize = 8_192;
/// The prompt is cut before it is encoded.
const MAX_PROMPT_CHARS: usize = 512;

/// Name of the revised prompt, which is encoded and cut like the prompt.
pub const REVISED_PROMPT: &str = "revised_prompt";

/// The facts about one image that are known before its bytes.
#[derive(Clone, Debug)]
pub struct ImageMetadata<'a> {
    /// Instance.
    pub instance_id: &'a InstanceId,
    /// Project.
    pub project_id: Option<&'a ProjectId>,
    /// Provider.
    pub provider: &'a ProviderName,
    /// Model.
    pub model: &'a str,
    /// Prompt; cut and percent-encoded.
    pub prompt: &'a str,
    /// When it was made.
    pub generated_at: Timestamp,
    /// Job.
    pub job_id: &'a JobId,
    /// Image.
    pub image_id: &'a ImageId,
    /// Lease.
    pub lease_id: &'a LeaseId,
    /// The seed that was used.
    pub seed: Option<u64>,
    /// Who may read it.
    pub visibility: Visibility,
    /// What the attempt cost, in micro-dollars.
    pub cost_usd_micros: Option<i64>,
    /// How that is known; `None` where the provider has not told yet.
    pub cost_basis: Option<CostBasis>,
    /// Images that the attempt stores in all: tells whether a set found later is complete.
    pub images: u32,
    /// Images beside them that the provider kept back, as far as that is known.
    pub withheld: u32,
    /// What the provider made of the prompt, as far as that is known; cut and percent-encoded.
    pub revised_prompt: Option<&'a str>,
}

impl ImageMetadata<'_> {
    /// Names and values, at most [`MAX_METADATA_BYTES`] together: the prompt gives way first.
    pub fn to_pairs(&self) -> Vec<(String, String)> {
        let mut pairs: Vec<(String, String)> = [
            ("instance_id", self.instance_id.to_string()),
            (
                "project_id",
                self.project_id
                    .map_or("default", ProjectId::as_str)
                    .to_owned(),
            ),
            ("provider", self.provider.to_string()),
            (
                "model",
                cut(&percent_encoded(self.model, usize::MAX), 256).to_owned(),
            ),
            ("generation_timestamp", self.generated_at.to_string()),
            ("job_id", self.job_id.to_string()),
            ("image_id", self.image_id.to_string()),
            ("lease_id", self.lease_id.to_string()),
            ("visibility", visibility_word(self.visibility).to_owned()),
            ("images", self.images.to_string()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        if let Some(seed) = self.seed {
            pairs.push(("seed".to_owned(), seed.to_string()));
        }
        if let Some(cost) = self.cost_usd_micros {
            pairs.push(("cost_usd_micros".to_owned(), cost.to_string()));
        }
        if let Some(basis) = self.cost_basis {
            pairs.push(("cost_basis".to_owned(), basis.as_str().to_owned()));
        }
        if self.withheld > 0 {
            pairs.push(("withheld".to_owned(), self.withheld.to_string()));
        }
        if let Some(revised) = self.revised_prompt {
            // At most 12 bytes a character, so this always fits.
            let text = percent_encoded(&first_chars(revised), usize::MAX);
            pairs.push((REVISED_PROMPT.to_owned(), text));
        }
        let taken: usize = pairs
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        let room = MAX_METADATA_BYTES.saturating_sub(taken + "prompt".len());
        let prompt = percent_encoded(&first_chars(self.prompt), room);
        pairs.push(("prompt".to_owned(), prompt));
        pairs
    }
}

/// The word in metadata and JSON.
fn visibility_word(visibility: Visibility) -> &'static str {
    match visibility {
        Visibility::Public => "public",
        Visibility::Private => "private",
    }
}

/// A text as it was before it went into metadata; `None` for one that was not written by [`ImageMetadata::to_pairs`].
pub fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                u8::try_from(high * 16 + low).ok()?
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok()
}

fn first_chars(text: &str) -> String {
    text.chars().take(MAX_PROMPT_CHARS).collect()
}

fn cut(text: &str, max_bytes: usize) -> &str {
    text.get(..max_bytes).unwrap_or(text)
}

/// RFC 3986 unreserved characters stay, all else is `%XX`; stops before a character that does not fit.
fn percent_encoded(text: &str, max_bytes: usize) -> String {
    let mut encoded = String::new();
    for c in text.chars() {
        let mut piece = String::new();
        if c.is_ascii_alphanumeric() || "-._~".contains(c) {
            piece.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(piece, "%{byte:02X}");
            }
        }
        if encoded.len() + piece.len() > max_bytes {
            break;
        }
        encoded.push_str(&piece);
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(prompt: &str, model: &str) -> Vec<(String, String)> {
        pairs_of(prompt, model, None)
    }

    fn pairs_of(prompt: &str, model: &str, revised: Option<&str>) -> Vec<(String, String)> {
        ImageMetadata {
            instance_id: &InstanceId::parse("production").unwrap(),
            project_id: None,
            provider: &ProviderName::parse("ideogram").unwrap(),
            model,
            prompt,
            generated_at: Timestamp(1_763_719_203_240),
            job_id: &JobId::parse("0199a1c2-0000-7000-8000-000000000001").unwrap(),
            image_id: &ImageId::parse("0199a1c2-0000-7000-8000-000000000002").unwrap(),
            lease_id: &LeaseId::parse("0199a1c2-0000-7000-8000-000000000003").unwrap(),
            seed: Some(7),
            visibility: Visibility::Private,
            cost_usd_micros: Some(60_000),
            cost_basis: revised.map(|_| CostBasis::Reported),
            images: 1,
            withheld: revised.map_or(0, |_| 2),
            revised_prompt: revised,
        }
        .to_pairs()
    }

    #[test]
    fn metadata_format_unchanged() {
        let text: Vec<String> = pairs("a cat, ü", "ideogram-3")
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            text,
            [
                "instance_id=production",
                "project_id=default",
                "provider=ideogram",
                "model=ideogram-3",
                "generation_timestamp=2025-11-21T10:00:03.240Z",
                "job_id=0199a1c2-0000-7000-8000-000000000001",
                "image_id=0199a1c2-0000-7000-8000-000000000002",
                "lease_id=0199a1c2-0000-7000-8000-000000000003",
                "visibility=private",
                "images=1",
                "seed=7",
                "cost_usd_micros=60000",
                "prompt=a%20cat%2C%20%C3%BC",
            ]
        );
    }

    #[test]
    fn what_the_provider_told_is_beside_it() {
        let pairs = pairs_of("a cat", "m", Some("ein Kätzchen, 100%"));
        let value = |name: &str| pairs.iter().find(|pair| pair.0 == name).map(|it| &*it.1);
        assert_eq!(value("cost_basis"), Some("reported"));
        assert_eq!(value("withheld"), Some("2"));
        let revised = value(REVISED_PROMPT).unwrap();
        assert_eq!(revised, "ein%20K%C3%A4tzchen%2C%20100%25");
        assert_eq!(decoded(revised).as_deref(), Some("ein Kätzchen, 100%"));
        for broken in ["%", "%4", "%zz", "%FF", "a%2"] {
            assert_eq!(decoded(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_long_prompt_is_cut_to_512_characters_first() {
        let pairs = pairs(&"x".repeat(5_000), "m");
        assert_eq!(pairs.last().unwrap().1.len(), 512);
    }

    proptest! {
        #[test]
        fn metadata_is_ascii_and_fits(prompt in "\\PC{0,700}", model in "\\PC{0,400}") {
            let pairs = pairs_of(&prompt, &model, Some(&prompt));
            let revised = pairs.iter().find(|pair| pair.0 == REVISED_PROMPT).and_then(|pair| decoded(&pair.1));
            prop_assert_eq!(revised, Some(first_chars(&prompt)));
            let size: usize = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
            prop_assert!(size <= MAX_METADATA_BYTES);
            prop_assert!(pairs.iter().all(|(_, value)| value.bytes().all(|b| b.is_ascii_graphic() || b == b' ')));
        }
    }
}
