//! Unpaired surrogates in JSON escapes. Ralph stores such text, but cannot return it.

/// The offset of the first escape that is an unpaired surrogate.
pub fn unpaired(json: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(next) = memchr::memchr(b'\\', &json[at..]) {
        at += next;
        match unit(&json[at..]) {
            Some(0xd800..=0xdbff) => match json.get(at + 6..).and_then(unit) {
                Some(0xdc00..=0xdfff) => at += 12,
                _ => return Some(at),
            },
            Some(0xdc00..=0xdfff) => return Some(at),
            Some(_) => at += 6,
            // another escape, such as of a backslash
            None => at = (at + 2).min(json.len()),
        }
    }
    None
}

/// The UTF-16 unit of an escape such as `\ud83d`.
fn unit(escape: &[u8]) -> Option<u16> {
    let digits = escape.strip_prefix(b"\\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpaired_surrogate_is_found_and_pair_is_not() {
        assert_eq!(unpaired(br#"{"a":"\ud83d\ude00 \u00e9 \\ud83d \n"}"#), None);
        assert_eq!(unpaired(br#"{"a":"x\ud83d"}"#), Some(7));
        assert_eq!(unpaired(br#"{"a":"\uDE00"}"#), Some(6));
        assert_eq!(unpaired(br#"{"a":"\ud83d\ud83d\ude00"}"#), Some(6));
        assert_eq!(unpaired(br#""\\\ud83dx""#), Some(3));
        assert_eq!(unpaired(br#"\"#), None);
    }
}
