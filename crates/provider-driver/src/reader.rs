//! The reply reader for answers whose images nobody stores: it buffers, and takes the images out of the JSON.
//!
//! In scope: text, tests. Out of scope: streaming to a bucket (`r2-manager`).

use bytes::Bytes;
use platform::{ByteStream, ReplyError, ReplyReader, collect};
use serde_json::Value;

/// Base64 texts longer than this are blobs, in bytes.
const BLOB_FROM_BYTES: usize = 64 * 1024;

/// Buffers the whole answer and keeps what it took out.
#[derive(Clone, Debug, Default)]
pub struct BufferingReader {
    /// What was taken out: the base64 text of each blob, or the image itself, in order.
    pub blobs: Vec<Bytes>,
}

impl ReplyReader for BufferingReader {
    async fn read(
        &mut self,
        content_type: &str,
        body: ByteStream,
        max_bytes: u64,
    ) -> Result<Bytes, ReplyError> {
        let all = collect(body, max_bytes).await?;
        if content_type.starts_with("image/") {
            self.blobs.push(all);
            return Ok(Bytes::from_static(b"\"blob:0\""));
        }
        // Anything that is not JSON is for the parser to judge.
        let Ok(mut value) = serde_json::from_slice::<Value>(&all) else {
            return Ok(all);
        };
        self.take_blobs(&mut value, false);
        Ok(Bytes::from(value.to_string()))
    }
}

impl BufferingReader {
    fn take_blobs(&mut self, value: &mut Value, is_image: bool) {
        match value {
            Value::String(text) if is_image || text.len() > BLOB_FROM_BYTES => {
                self.blobs.push(Bytes::from(std::mem::take(text)));
                *text = format!("blob:{}", self.blobs.len() - 1);
            }
            Value::Array(items) => items
                .iter_mut()
                .for_each(|item| self.take_blobs(item, false)),
            Value::Object(members) => {
                for (name, member) in members {
                    // A small picture is a picture too.
                    self.take_blobs(member, name == "b64_json");
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    fn body(text: &str) -> ByteStream {
        let halves = text
            .as_bytes()
            .chunks(7)
            .map(|chunk| Ok(Bytes::copy_from_slice(chunk)));
        Box::pin(stream::iter(halves.collect::<Vec<_>>()))
    }

    #[tokio::test]
    async fn images_leave_the_json_in_order_and_other_text_stays() {
        let long = "A".repeat(BLOB_FROM_BYTES + 1);
        let text = format!(r#"{{"a":"x","data":[{{"b64_json":"AQ=="}},{{"image":"{long}"}}]}}"#);
        let mut reader = BufferingReader::default();
        let json = reader
            .read("application/json", body(&text), 1 << 20)
            .await
            .unwrap();
        assert_eq!(
            json,
            r#"{"a":"x","data":[{"b64_json":"blob:0"},{"image":"blob:1"}]}"#
        );
        assert_eq!(
            reader.blobs,
            [Bytes::from_static(b"AQ=="), Bytes::from(long)]
        );
    }

    #[tokio::test]
    async fn too_long_and_broken_bodies_are_errors_and_foreign_text_passes() {
        let mut reader = BufferingReader::default();
        let read = reader.read("application/json", body("0123456789"), 9).await;
        assert_eq!(read, Err(ReplyError::TooLarge { max_bytes: 9 }));
        let html = reader.read("text/html", body("<html>"), 9).await;
        assert_eq!(html.unwrap(), "<html>");
        let image = reader.read("image/png", body("PNG"), 9).await.unwrap();
        assert_eq!(image, "\"blob:0\"");
    }
}
