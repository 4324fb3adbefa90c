//! Base 62 digits of keys: `0-9A-Za-z`.

use platform::Random;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

pub(crate) fn is_base62(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// A number as six digits, big end first; 62^6 is larger than any `u32`.
pub(crate) fn six_digits(mut number: u32) -> String {
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET
            .get((number % 62) as usize)
            .copied()
            .unwrap_or(b'0');
        number /= 62;
    }
    digits.iter().map(|b| char::from(*b)).collect()
}

/// `length` digits, each uniform: bytes of 248 and above are thrown away, so no digit is more likely.
pub(crate) fn random_digits(random: &impl Random, length: usize) -> String {
    let mut text = String::with_capacity(length);
    let mut bytes = [0; 64];
    while text.len() < length {
        random.fill(&mut bytes);
        for byte in bytes {
            if byte < 248 && text.len() < length {
                text.push(char::from(
                    ALPHABET
                        .get(usize::from(byte % 62))
                        .copied()
                        .unwrap_or(b'0'),
                ));
            }
        }
    }
    text
}

/// CRC-32 (IEEE 802.3, reflected, polynomial 0xEDB88320).
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xEDB8_8320
            } else {
                crc >> 1
            };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_is_the_ieee_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(six_digits(u32::MAX).len(), 6);
        assert_eq!(six_digits(61), "00000z");
    }
}
