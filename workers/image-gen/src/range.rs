//! One byte range of a `Range` header (RFC 9110, section 14).

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The whole file: no range, several ranges, or another unit.
    Whole,
    /// From the first to the last byte, or to the end.
    From {
        /// First byte.
        first: u64,
        /// Last byte.
        last: Option<u64>,
    },
    /// The last bytes.
    Suffix {
        /// How many.
        length: u64,
    },
    /// A range that is none.
    Nonsense,
}

/// What that is in a file of a known size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// All of it.
    Whole,
    /// A part.
    Part {
        /// First byte.
        offset: u64,
        /// How many, at least 1.
        length: u64,
    },
    /// Nothing of it.
    Unsatisfiable,
}

/// Reads the header's text.
pub fn parse(text: &str) -> Asked {
    let Some(spec) = text.trim().strip_prefix("bytes=") else {
        return Asked::Whole;
    };
    // One range; for several the whole file is a correct answer.
    if spec.contains(',') {
        return Asked::Whole;
    }
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    let Some((first, last)) = spec.trim().split_once('-') else {
        return Asked::Nonsense;
    };
    match (first, last) {
        ("", last) => number(last).map_or(Asked::Nonsense, |length| Asked::Suffix { length }),
        (first, "") => {
            number(first).map_or(Asked::Nonsense, |first| Asked::From { first, last: None })
        }
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => Asked::From {
                first,
                last: Some(last),
            },
            _ => Asked::Nonsense,
        },
    }
}

/// Fits it to a file of `size` bytes.
pub fn resolve(asked: Asked, size: u64) -> Resolved {
    match asked {
        Asked::Whole => Resolved::Whole,
        Asked::From { first, last } if first < size => {
            let end = last.map_or(size, |last| last.saturating_add(1).min(size));
            Resolved::Part {
                offset: first,
                length: end - first,
            }
        }
        Asked::Suffix { length } if length > 0 && size > 0 => {
            let length = length.min(size);
            Resolved::Part {
                offset: size - length,
                length,
            }
        }
        Asked::From { .. } | Asked::Suffix { .. } | Asked::Nonsense => Resolved::Unsatisfiable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_fitted() {
        let part = |offset, length| Resolved::Part { offset, length };
        for (text, expected) in [
            ("bytes=0-9", part(0, 10)),
            ("bytes=5-", part(5, 95)),
            ("bytes=-10", part(90, 10)),
            ("bytes=-1000", part(0, 100)),
            ("bytes=90-1000", part(90, 10)),
            ("bytes=99-99", part(99, 1)),
            ("bytes=100-", Resolved::Unsatisfiable),
            ("bytes=9-2", Resolved::Unsatisfiable),
            ("bytes=-0", Resolved::Unsatisfiable),
            ("bytes=x", Resolved::Unsatisfiable),
            ("bytes=a-b", Resolved::Unsatisfiable),
            ("bytes=0-1,5-6", Resolved::Whole),
            ("items=0-1", Resolved::Whole),
        ] {
            assert_eq!(resolve(parse(text), 100), expected, "{text}");
        }
        assert_eq!(resolve(parse("bytes=0-"), 0), Resolved::Unsatisfiable);
        assert_eq!(
            resolve(parse("bytes=99999999999999999999-"), 100),
            Resolved::Unsatisfiable
        );
    }
}
