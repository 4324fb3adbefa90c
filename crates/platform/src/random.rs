//! Randomness as a port, and the ids made from it.

use crate::Clock;

/// A cryptographically secure source of bytes.
pub trait Random: Clone + Send + Sync + 'static {
    /// Fills the whole slice.
    fn fill(&self, bytes: &mut [u8]);

    /// Uniform over all values.
    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

/// A new UUIDv7 in its usual text form (RFC 9562): sortable by the clock's milliseconds.
pub fn new_uuid(clock: &impl Clock, random: &impl Random) -> String {
    let mut bytes = [0; 10];
    random.fill(&mut bytes);
    let ms = u64::try_from(clock.now_ms()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(ms, &bytes)
        .into_uuid()
        .to_string()
}
