//! The letters of JSON: white space and escapes.

use alloc::{borrow::Cow, string::String, vec::Vec};

use super::Invalid;

/// Removes the white space between tokens. What comes out still has to be checked.
///
/// # Errors
/// [`Invalid::Syntax`] where white space stood inside a token.
pub fn minify(text: &str) -> Result<String, Invalid> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    let mut parted = false;
    while let Some(byte) = bytes.next() {
        if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            parted = true;
            continue;
        }
        let joins = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        if parted && joins(byte) && out.last().copied().is_some_and(joins) {
            return Err(Invalid::Syntax);
        }
        parted = false;
        out.push(byte);
        if byte == b'"' {
            copy_string(&mut bytes, &mut out)?;
        }
    }
    String::from_utf8(out).map_err(|_| Invalid::Syntax)
}

fn copy_string(bytes: &mut impl Iterator<Item = u8>, out: &mut Vec<u8>) -> Result<(), Invalid> {
    loop {
        let byte = bytes.next().ok_or(Invalid::Syntax)?;
        out.push(byte);
        match byte {
            b'"' => return Ok(()),
            b'\\' => out.push(bytes.next().ok_or(Invalid::Syntax)?),
            _ => {}
        }
    }
}

/// Appends `text` as a JSON string, quotes included, escaped as `JSON.stringify` does.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0x08 => out.extend(b"\\b"),
            0x0c => out.extend(b"\\f"),
            0..=0x1f => {
                let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
                out.extend(b"\\u00");
                out.extend([digit(byte >> 4), digit(byte & 15)]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Undoes the escapes of a checked string's inside.
pub(super) fn unescape(raw: &str) -> Cow<'_, str> {
    if !raw.bytes().any(|byte| byte == b'\\') {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(place) = rest.bytes().position(|byte| byte == b'\\') {
        out.push_str(rest.get(..place).unwrap_or(""));
        let escape = rest.as_bytes().get(place + 1).copied().unwrap_or(b'\\');
        let mut used = 2;
        out.push(match escape {
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => {
                let high = hex4(rest, place + 2);
                used = 6;
                if (0xd800..0xdc00).contains(&high) {
                    let low = hex4(rest, place + 8);
                    used = 12;
                    let joined = 0x10000 + ((high & 0x3ff) << 10) + (low & 0x3ff);
                    char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER)
                } else {
                    char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER)
                }
            }
            other => char::from(other),
        });
        rest = rest.get(place + used..).unwrap_or("");
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The number of four hex digits, which were checked.
fn hex4(text: &str, at: usize) -> u32 {
    let digits = text.as_bytes().get(at..at + 4).unwrap_or(b"fffd");
    let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap_or(0);
    digits.iter().fold(0, |sum, byte| sum * 16 + digit(byte))
}

/// How many bytes of a string stand before the first that means something in it: a quote, a backslash or
/// a control. By eights, for this is the loop that a write spends its time in.
pub(super) fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGHS: u64 = ONES << 7;
    // The lowest high bit that is set stands in the first byte below `least`.
    let below = |word: u64, least: u64| word.wrapping_sub(ONES * least) & !word & HIGHS;
    let (words, rest) = bytes.as_chunks();
    for (place, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * u64::from(b'"'));
        let backslash = word ^ (ONES * u64::from(b'\\'));
        let special = below(quote, 1) | below(backslash, 1) | below(word, 0x20);
        if special != 0 {
            return 8 * place + usize::try_from(special.trailing_zeros() / 8).unwrap_or(0);
        }
    }
    let is_plain = |byte: &&u8| !matches!(byte, b'"' | b'\\' | 0..=0x1f);
    bytes.len() - rest.len() + rest.iter().take_while(is_plain).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_first_special_byte_wherever_it_stands() {
        for ordinary in [b' ', b'!', b'#', b'[', b']', 0x7f, 0x80, 0xa2, 0xdc, 0xff] {
            for len in 0..20 {
                let mut bytes = alloc::vec![ordinary; len];
                assert_eq!(plain(&bytes), len);
                for (at, special) in (0..len).zip([b'"', b'\\', 0, 0x1f].into_iter().cycle()) {
                    bytes.fill(ordinary);
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = special;
                    }
                    bytes.extend(br#""\"#);
                    assert_eq!(plain(&bytes), at, "{bytes:?}");
                    bytes.truncate(len);
                }
            }
        }
    }
}
