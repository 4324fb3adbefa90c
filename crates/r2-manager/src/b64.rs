//! Takes long base64 strings out of a JSON answer while it arrives, so that no image is ever in memory as text.
//!
//! In scope: a state machine over chunks, split anywhere, and the `ReplyReader` that stores what comes out. Out of scope:
//! what the JSON means (adapters): they see the skeleton, in which each taken string is `blob:<index>`.

use crate::store::{StorageOptions, StoreError, Upload, UploadResult};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{GeneralPurposeConfig, STANDARD};
use bytes::Bytes;
use futures_util::StreamExt;
use platform::{ByteStream, Clock, ObjectStore, ReplyError, ReplyReader};

/// Strings of at most that many characters stay in the skeleton: longer ones may be signatures or prompts in one word.
const HOLD_BYTES: usize = 64 * 1024;
/// The member that holds an image in the answers of OpenAI's API; it is taken however small the image is.
const IMAGE_MEMBER: &[u8] = b"b64_json";
/// Shorter values of it are no image: null written as text, or what stands for an image elsewhere.
const HOLD_NAMED_BYTES: usize = 24;
/// Prefix of data URLs: `data:image/png;base64,`.
const MAX_PREFIX_BYTES: usize = 64;
/// The skeleton of an answer is at most that large.
const MAX_SKELETON_BYTES: usize = 1024 * 1024;
/// Decoded bytes are handed on in pieces of about this size.
const PIECE_CHARS: usize = 64 * 1024;

const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What comes out besides the skeleton.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A blob begins.
    Begin(u32),
    /// Its next bytes.
    Data(Bytes),
    /// It is over.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between strings.
    Outside,
    /// In a string that may become a blob; its text is in `held`.
    Maybe,
    /// In a string that stays.
    Plain,
    /// In a blob.
    Blob,
}

/// The state machine.
#[derive(Debug)]
pub struct Extractor {
    state: State,
    escaped: bool,
    /// The string so far, as it stands in the answer.
    held: Vec<u8>,
    /// Where base64 begins in `held`, behind a data URL's prefix.
    base64_from: usize,
    /// Base64 characters not yet decoded.
    chars: Vec<u8>,
    padded: bool,
    skeleton: Vec<u8>,
    /// Where the last string begins in the skeleton, behind its quote.
    string_from: usize,
    /// The value that comes next is an image by its name.
    named: bool,
    blobs: u32,
}

impl Default for Extractor {
    fn default() -> Self {
        Self {
            state: State::Outside,
            escaped: false,
            held: Vec::new(),
            base64_from: 0,
            chars: Vec::new(),
            padded: false,
            skeleton: Vec::new(),
            string_from: 0,
            named: false,
            blobs: 0,
        }
    }
}

fn malformed(what: &str) -> ReplyError {
    ReplyError::Malformed(what.to_owned())
}

const fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=')
}

impl Extractor {
    /// The next chunk of the answer; pieces of blobs go to `out` in order.
    pub fn feed(&mut self, chunk: &[u8], out: &mut Vec<Piece>) -> Result<(), ReplyError> {
        for &byte in chunk {
            match self.state {
                State::Outside => {
                    self.keep(byte)?;
                    match byte {
                        b'"' => {
                            self.state = State::Maybe;
                            self.held.clear();
                            self.base64_from = 0;
                            self.string_from = self.skeleton.len();
                        }
                        b':' => self.named = self.last_string() == IMAGE_MEMBER,
                        b',' | b'{' | b'}' | b'[' | b']' => self.named = false,
                        _ => {}
                    }
                }
                State::Maybe => self.maybe(byte, out)?,
                State::Plain => {
                    self.keep(byte)?;
                    if self.escaped {
                        self.escaped = false;
                    } else if byte == b'\\' {
                        self.escaped = true;
                    } else if byte == b'"' {
                        self.state = State::Outside;
                    }
                }
                State::Blob => self.blob(byte, out)?,
            }
        }
        Ok(())
    }

    fn keep(&mut self, byte: u8) -> Result<(), ReplyError> {
        if self.skeleton.len() >= MAX_SKELETON_BYTES {
            return Err(ReplyError::TooLarge {
                max_bytes: MAX_SKELETON_BYTES as u64,
            });
        }
        self.skeleton.push(byte);
        Ok(())
    }

    /// The string that has just ended, without its quotes.
    fn last_string(&self) -> &[u8] {
        let end = self
            .skeleton
            .iter()
            .rposition(|byte| *byte == b'"')
            .unwrap_or(0);
        self.skeleton.get(self.string_from..end).unwrap_or_default()
    }

    fn give_back(&mut self) -> Result<(), ReplyError> {
        for byte in std::mem::take(&mut self.held) {
            self.keep(byte)?;
        }
        Ok(())
    }

    fn maybe(&mut self, byte: u8, out: &mut Vec<Piece>) -> Result<(), ReplyError> {
        if self.escaped {
            self.escaped = false;
            self.held.push(byte);
            // `\/` is how some encoders write a slash; a line break splits base64 in others.
            if !matches!(byte, b'/' | b'n' | b'r') {
                self.state = State::Plain;
                self.give_back()?;
            }
            return Ok(());
        }
        match byte {
            b'"' => {
                self.give_back()?;
                self.keep(byte)?;
                self.state = State::Outside;
            }
            b'\\' => {
                self.escaped = true;
                self.held.push(byte);
            }
            _ => {
                self.held.push(byte);
                if self.base64_from == 0
                    && byte == b','
                    && self.held.starts_with(b"data:")
                    && self.held.ends_with(b";base64,")
                {
                    self.base64_from = self.held.len();
                } else if !is_base64(byte) && !self.in_prefix() {
                    self.state = State::Plain;
                    self.give_back()?;
                } else if self.held.len() > self.base64_from + self.hold_bytes() {
                    self.begin_blob(out)?;
                }
            }
        }
        Ok(())
    }

    fn hold_bytes(&self) -> usize {
        if self.named {
            HOLD_NAMED_BYTES
        } else {
            HOLD_BYTES
        }
    }

    /// Whether the characters so far may be the start of a data URL.
    fn in_prefix(&self) -> bool {
        let start = b"data:";
        let seen = self.held.len().min(start.len());
        self.base64_from == 0
            && self.held.len() <= MAX_PREFIX_BYTES
            && self.held.get(..seen) == start.get(..seen)
    }

    fn begin_blob(&mut self, out: &mut Vec<Piece>) -> Result<(), ReplyError> {
        let index = self.blobs;
        self.blobs += 1;
        for byte in format!("blob:{index}").bytes() {
            self.keep(byte)?;
        }
        self.state = State::Blob;
        self.padded = false;
        self.chars.clear();
        out.push(Piece::Begin(index));
        let held = std::mem::take(&mut self.held);
        for &byte in held.get(self.base64_from..).unwrap_or_default() {
            self.blob(byte, out)?;
        }
        Ok(())
    }

    fn blob(&mut self, byte: u8, out: &mut Vec<Piece>) -> Result<(), ReplyError> {
        let byte = if self.escaped {
            self.escaped = false;
            match byte {
                b'/' => b'/',
                b'n' | b'r' => return Ok(()),
                _ => return Err(malformed("an escape inside base64")),
            }
        } else {
            match byte {
                b'"' => return self.end_blob(out),
                b'\\' => {
                    self.escaped = true;
                    return Ok(());
                }
                b'-' => b'+',
                b'_' => b'/',
                other => other,
            }
        };
        match byte {
            b'=' => self.padded = true,
            _ if self.padded => return Err(malformed("base64 after its padding")),
            b'+' | b'/' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => self.chars.push(byte),
            _ => return Err(malformed("a character that is not base64")),
        }
        if self.chars.len() >= PIECE_CHARS {
            self.decode(out)?;
        }
        Ok(())
    }

    fn decode(&mut self, out: &mut Vec<Piece>) -> Result<(), ReplyError> {
        let bytes = ENGINE
            .decode(&self.chars)
            .map_err(|_| malformed("base64 of a wrong length"))?;
        self.chars.clear();
        if !bytes.is_empty() {
            out.push(Piece::Data(bytes.into()));
        }
        Ok(())
    }

    fn end_blob(&mut self, out: &mut Vec<Piece>) -> Result<(), ReplyError> {
        self.decode(out)?;
        out.push(Piece::End);
        self.state = State::Outside;
        self.keep(b'"')
    }

    /// The skeleton, once the answer is over.
    pub fn finish(self) -> Result<Bytes, ReplyError> {
        if self.state == State::Outside {
            Ok(self.skeleton.into())
        } else {
            Err(ReplyError::Broken(
                "the answer ends inside a string".to_owned(),
            ))
        }
    }
}

/// Stores the blobs of one answer as images, in order.
pub struct StreamingReader<S, C, F> {
    /// Buckets to try, in order, with their names.
    targets: Vec<(String, S)>,
    clock: C,
    options: F,
    stored: Vec<Result<UploadResult, StoreError>>,
}

/// The blob that is arriving, and whether it can still be stored.
struct Arriving<S, C> {
    /// None for one that has no place.
    upload: Option<Upload<S, C>>,
    result: Result<(), StoreError>,
}

impl<S: ObjectStore, C: Clock> Arriving<S, C> {
    async fn write(&mut self, bytes: &[u8]) {
        if let (Ok(()), Some(upload)) = (&self.result, &mut self.upload) {
            self.result = upload.write(bytes).await;
        }
    }

    async fn end(self) -> Result<UploadResult, StoreError> {
        self.result?;
        match self.upload {
            Some(upload) => upload.finish().await,
            None => Err(StoreError::Storage("the image has no place".to_owned())),
        }
    }
}

impl<S: ObjectStore, C: Clock, F: FnMut(u32) -> Option<StorageOptions> + Send>
    StreamingReader<S, C, F>
{
    /// `options` says how the blob of an index is stored; one for which it says nothing is read and not kept.
    pub fn new(targets: Vec<(String, S)>, clock: C, options: F) -> Self {
        Self {
            targets,
            clock,
            options,
            stored: Vec::new(),
        }
    }

    /// What became of each blob, by index.
    pub fn into_stored(self) -> Vec<Result<UploadResult, StoreError>> {
        self.stored
    }

    fn open(&mut self, index: u32) -> Arriving<S, C> {
        let upload = (self.options)(index)
            .map(|options| Upload::new(self.targets.clone(), self.clock.clone(), options));
        Arriving {
            upload,
            result: Ok(()),
        }
    }

    /// An answer that is one image.
    async fn whole(
        &mut self,
        mut body: ByteStream,
        max_bytes: u64,
        arriving: &mut Option<Arriving<S, C>>,
    ) -> Result<Bytes, ReplyError> {
        let image = arriving.insert(self.open(0));
        let mut read = 0_u64;
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| ReplyError::Broken(error.cause))?;
            read += chunk.len() as u64;
            if read > max_bytes {
                return Err(ReplyError::TooLarge { max_bytes });
            }
            image.write(&chunk).await;
        }
        if let Some(image) = arriving.take() {
            self.stored.push(image.end().await);
        }
        Ok(Bytes::from_static(b"\"blob:0\""))
    }

    /// An answer that is JSON with images in it.
    async fn json(
        &mut self,
        mut body: ByteStream,
        max_bytes: u64,
        arriving: &mut Option<Arriving<S, C>>,
    ) -> Result<Bytes, ReplyError> {
        let mut extractor = Extractor::default();
        let mut pieces = Vec::new();
        let mut read = 0_u64;
        // Base64 and its answer are a third longer than the bytes they carry.
        let max_read = max_bytes.saturating_mul(3) / 2 + MAX_SKELETON_BYTES as u64;
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| ReplyError::Broken(error.cause))?;
            read += chunk.len() as u64;
            if read > max_read {
                return Err(ReplyError::TooLarge { max_bytes });
            }
            let fed = extractor.feed(&chunk, &mut pieces);
            for piece in pieces.drain(..) {
                match piece {
                    Piece::Begin(index) => *arriving = Some(self.open(index)),
                    Piece::Data(bytes) => {
                        if let Some(image) = arriving {
                            image.write(&bytes).await;
                        }
                    }
                    Piece::End => {
                        if let Some(image) = arriving.take() {
                            self.stored.push(image.end().await);
                        }
                    }
                }
            }
            // What came whole before the fault is stored all the same.
            fed?;
        }
        extractor.finish()
    }
}

impl<S: ObjectStore, C: Clock, F: FnMut(u32) -> Option<StorageOptions> + Send> ReplyReader
    for StreamingReader<S, C, F>
{
    /// What could not be stored is not an error of the answer: [`Self::into_stored`] says what became of each blob, also of
    /// those that came before the answer broke off.
    async fn read(
        &mut self,
        content_type: &str,
        body: ByteStream,
        max_bytes: u64,
    ) -> Result<Bytes, ReplyError> {
        self.stored.clear();
        let mut arriving = None;
        let read = if content_type.starts_with("image/") {
            self.whole(body, max_bytes, &mut arriving).await
        } else {
            self.json(body, max_bytes, &mut arriving).await
        };
        // Nothing of an image that did not come whole stays.
        if let Some(mut upload) = arriving.and_then(|image| image.upload) {
            upload.abort().await;
        }
        read
    }
}

/// Base64 of bytes in pieces: what one call returns joins to what the next returns.
#[derive(Debug, Default)]
pub struct Encoder {
    rest: Vec<u8>,
}

impl Encoder {
    /// The text of the next bytes; up to two bytes wait for the next call.
    pub fn feed(&mut self, bytes: &[u8]) -> String {
        let mut all = std::mem::take(&mut self.rest);
        all.extend_from_slice(bytes);
        let whole = all.len() - all.len() % 3;
        self.rest = all.split_off(whole);
        STANDARD.encode(all)
    }

    /// The end.
    pub fn finish(self) -> String {
        STANDARD.encode(self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn extract(chunks: &[&[u8]]) -> Result<(String, Vec<Vec<u8>>), ReplyError> {
        let mut extractor = Extractor::default();
        let mut pieces = Vec::new();
        for chunk in chunks {
            extractor.feed(chunk, &mut pieces)?;
        }
        let skeleton = String::from_utf8(extractor.finish()?.to_vec()).unwrap();
        let mut blobs: Vec<Vec<u8>> = Vec::new();
        let mut open = false;
        for piece in pieces {
            match piece {
                Piece::Begin(index) => {
                    assert_eq!(index as usize, blobs.len());
                    assert!(!std::mem::replace(&mut open, true));
                    blobs.push(Vec::new());
                }
                Piece::Data(bytes) => blobs.last_mut().unwrap().extend_from_slice(&bytes),
                Piece::End => assert!(std::mem::replace(&mut open, false)),
            }
        }
        assert!(!open);
        Ok((skeleton, blobs))
    }

    fn image(seed: u8, length: usize) -> Vec<u8> {
        (0..length)
            .map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed))
            .collect()
    }

    fn answer() -> (String, String, Vec<Vec<u8>>) {
        let (a, b) = (image(1, 3_400), image(9, 100));
        let b64 = STANDARD.encode(&b).replace('/', "\\/");
        let text = format!(
            r#"{{"created":1,"data":[{{"b64_json":"{}","revised_prompt":"a \"cat\" \\ {}"}},{{ "b64_json" : "data:image/png;base64,{b64}"}}],"small":"QUJD","usage":{{}}}}"#,
            STANDARD.encode(&a),
            "x y".repeat(150),
        );
        let skeleton = text
            .replace(&STANDARD.encode(&a), "blob:0")
            .replace(&format!("data:image/png;base64,{b64}"), "blob:1");
        (text, skeleton, vec![a, b])
    }

    #[test]
    fn long_strings_come_out_and_the_skeleton_stays_json() {
        let (text, skeleton, blobs) = answer();
        let found = extract(&[text.as_bytes()]).unwrap();
        assert_eq!(found, (skeleton.clone(), blobs));
        let value: serde_json::Value = serde_json::from_str(&skeleton).unwrap();
        assert_eq!(value["data"][1]["b64_json"], "blob:1");
    }

    #[test]
    fn every_split_point_gives_the_same() {
        let (text, skeleton, blobs) = answer();
        let bytes = text.as_bytes();
        for at in 0..=bytes.len() {
            let found = extract(&[&bytes[..at], &bytes[at..]]).unwrap();
            assert!(found.0 == skeleton && found.1 == blobs, "split at {at}");
        }
        let singles: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(extract(&singles).unwrap(), (skeleton, blobs));
    }

    #[test]
    fn an_answer_cut_anywhere_is_never_taken_for_whole() {
        let (text, ..) = answer();
        for end in (0..text.len()).filter(|end| end % 13 == 0 || text.len() - end < 200) {
            if let Ok((skeleton, _)) = extract(&[&text.as_bytes()[..end]]) {
                assert!(
                    serde_json::from_str::<serde_json::Value>(&skeleton).is_err(),
                    "cut at {end}"
                );
            }
        }
    }

    #[test]
    fn broken_base64_is_malformed() {
        let long = "A".repeat(400);
        for bad in
            ["!", "=A", "\\u0041", "A"].map(|end| format!("{{\"b64_json\":\"{long}{end}\"}}"))
        {
            assert!(
                matches!(extract(&[bad.as_bytes()]), Err(ReplyError::Malformed(_))),
                "{}",
                &bad[bad.len() - 10..]
            );
        }
    }

    #[test]
    fn any_member_is_taken_when_it_is_long_and_only_the_image_when_it_is_short() {
        let (short, long) = ("A".repeat(400), "A".repeat(HOLD_BYTES + 4));
        for (text, blobs) in [
            (format!("{{\"signature\":\"{short}\"}}"), 0),
            (format!("{{\"signature\":\"{long}\"}}"), 1),
            (format!("{{\"b64_json\":\"{short}\"}}"), 1),
            (
                format!("{{\"b64_json\":null,\"signature\":\"{short}\"}}"),
                0,
            ),
            (format!("{{\"b64_json\":[],\"b\":[\"{short}\"]}}"), 0),
            ("{\"b64_json\":\"\",\"c\":\"b64_json\"}".to_owned(), 0),
        ] {
            assert_eq!(
                extract(&[text.as_bytes()]).unwrap().1.len(),
                blobs,
                "{text}"
            );
        }
    }

    #[test]
    fn long_text_that_is_not_base64_stays() {
        let prompt = format!("\"{}\"", "a cat, a dog; ".repeat(6_000));
        let (skeleton, blobs) = extract(&[prompt.as_bytes()]).unwrap();
        assert_eq!(skeleton, prompt);
        assert!(blobs.is_empty());
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(length in 20_usize..200_000, cuts in prop::collection::vec(0.0_f64..1.0, 0..8)) {
            let bytes = image(3, length);
            let text = format!("{{\"b64_json\":\"{}\"}}", STANDARD.encode(&bytes));
            let mut at: Vec<usize> = cuts.into_iter().map(|cut| (cut * text.len() as f64) as usize).collect();
            at.extend([0, text.len()]);
            at.sort_unstable();
            let chunks: Vec<&[u8]> = at.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
            let (skeleton, blobs) = extract(&chunks).unwrap();
            prop_assert_eq!(skeleton, "{\"b64_json\":\"blob:0\"}");
            prop_assert!(blobs == [bytes]);
        }

        #[test]
        fn pieces_of_an_encoding_join(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0_usize..300) {
            let at = at.min(bytes.len());
            let mut encoder = Encoder::default();
            let text = encoder.feed(&bytes[..at]) + &encoder.feed(&bytes[at..]) + &encoder.finish();
            prop_assert_eq!(text, STANDARD.encode(&bytes));
        }
    }
}
