#![doc = include_str!("../README.md")]

mod b64;
mod blank;
mod dimensions;
mod key;
mod metadata;
mod probe;
mod store;
mod url;

pub use b64::{Encoder, Extractor, Piece, StreamingReader};
pub use key::{ImageKey, belongs_to, image_key_prefix, short_id};
pub use metadata::{ImageMetadata, MAX_METADATA_BYTES, REVISED_PROMPT, decoded};
pub use probe::{Blank, Probe, ProbeError, Prober};
pub use store::{
    MAX_IMAGE_BYTES, PART_BYTES, PAUSES_MS, Source, StorageOptions, StoreError, Upload,
    UploadResult, upload_image,
};
pub use url::{CdnKind, SigningKeys, UrlError, UrlForms};
