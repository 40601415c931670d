//! Canonical JSON (RFC 8785): one text for each value.

use alloc::{borrow::Cow, string::String, vec::Vec};

use super::{Invalid, Reader, minify, unescape, write_string};
use crate::{limits::DEPTH_MAX, order::order};

/// Writes any JSON value in its canonical form: no white space, names in the order of their UTF-16
/// code units, numbers and strings as ECMAScript prints them.
///
/// # Errors
/// What makes the text no JSON that can be stored.
pub fn canonical(text: &str) -> Result<String, Invalid> {
    let text = minify(text)?;
    let mut reader = Reader::new(&text, None);
    let mut out = Vec::with_capacity(text.len());
    write(&mut reader, &mut out, 1)?;
    if reader.at != text.len() {
        return Err(Invalid::Syntax);
    }
    String::from_utf8(out).map_err(|_| Invalid::Syntax)
}

fn write(reader: &mut Reader<'_, '_>, out: &mut Vec<u8>, depth: usize) -> Result<(), Invalid> {
    let start = reader.at;
    match reader.peek() {
        Some(b'"') => {
            let raw = reader.string()?;
            write_string(out, &unescape(raw));
        }
        Some(b'{') => return write_object(reader, out, depth),
        Some(b'[') => return write_array(reader, out, depth),
        Some(b'-' | b'0'..=b'9') => {
            reader.number()?;
            let number: f64 =
                reader.slice(start..reader.at).parse().map_err(|_| Invalid::Number)?;
            out.extend(ryu_js::Buffer::new().format_finite(number).bytes());
        }
        _ => {
            reader.value(depth)?;
            out.extend(reader.slice(start..reader.at).bytes());
        }
    }
    Ok(())
}

fn write_array(
    reader: &mut Reader<'_, '_>,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), Invalid> {
    if depth > DEPTH_MAX {
        return Err(Invalid::Depth);
    }
    reader.expect(b'[')?;
    out.push(b'[');
    if reader.peek() == Some(b']') {
        reader.at += 1;
        out.push(b']');
        return Ok(());
    }
    loop {
        write(reader, out, depth + 1)?;
        let byte = reader.next().ok_or(Invalid::Syntax)?;
        out.push(byte);
        match byte {
            b',' => {}
            b']' => return Ok(()),
            _ => return Err(Invalid::Syntax),
        }
    }
}

fn write_object(
    reader: &mut Reader<'_, '_>,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), Invalid> {
    if depth > DEPTH_MAX {
        return Err(Invalid::Depth);
    }
    reader.expect(b'{')?;
    let mut members: Vec<(Cow<'_, str>, Vec<u8>)> = Vec::new();
    if reader.peek() == Some(b'}') {
        reader.at += 1;
    } else {
        loop {
            let name = unescape(reader.string()?);
            reader.expect(b':')?;
            let mut value = Vec::new();
            write(reader, &mut value, depth + 1)?;
            members.push((name, value));
            match reader.next() {
                Some(b',') => {}
                Some(b'}') => break,
                _ => return Err(Invalid::Syntax),
            }
        }
    }
    let units =
        |place: usize| members.get(place).into_iter().flat_map(|(name, _)| name.encode_utf16());
    let sorted = order(members.len(), &|one, other| units(one).cmp(units(other)));
    let twice = |pair: &[usize]| matches!(pair, [one, other] if units(*one).eq(units(*other)));
    if sorted.windows(2).any(twice) {
        return Err(Invalid::Duplicate);
    }
    out.push(b'{');
    for (rank, place) in sorted.into_iter().enumerate() {
        let Some((name, value)) = members.get(place) else { continue };
        if rank > 0 {
            out.push(b',');
        }
        write_string(out, name);
        out.push(b':');
        out.extend(value);
    }
    out.push(b'}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;

    /// [VA8] The example of RFC 8785, section 3.2.2 and 3.2.3, and its table of numbers, appendix B.
    #[test]
    fn va8_examples_of_the_rfc() {
        let given = r#"{
            "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
            "literals": [null, true, false]
        }"#;
        let wanted = "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
            \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
        assert_eq!(canonical(given).as_deref(), Ok(wanted));
        let names = r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#;
        let sorted = canonical(names).unwrap_or_default();
        let places: Vec<_> = ["Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"]
            .iter()
            .map(|word| sorted.find(word))
            .collect();
        assert!(places.is_sorted() && places.iter().all(Option::is_some), "{sorted}");
        for (bits, wanted) in [
            (0x0000_0000_0000_0000_u64, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0xc340_0000_0000_0000, "-9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0x41b3_de43_5555_5554, "333333333.33333325"),
            (0x41b3_de43_5555_5555, "333333333.3333333"),
            (0x41b3_de43_5555_5556, "333333333.3333334"),
            (0x41b3_de43_5555_5557, "333333333.33333343"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ] {
            // The table gives bits; the text that brings them is any that rounds to them.
            let text: String = alloc::format!("{:e}", f64::from_bits(bits));
            assert_eq!(canonical(&text).as_deref(), Ok(wanted), "{bits:x}");
        }
    }

    /// [VA8] What is no JSON has no canonical form; what has one is its own.
    #[test]
    fn va8_is_stable_and_strict() {
        for bad in
            ["", "{", "[1,]", "{\"a\":1,\"\\u0061\":2}", "1e400", "\"\\ud800\"", "NaN", "1 2"]
        {
            assert!(canonical(bad).is_err(), "{bad}");
        }
        for text in [
            "7",
            "\"a\"",
            "null",
            "[]",
            "{}",
            "[[],{}]",
            "{\"b\":[1,2],\"a\":{\"d\":null,\"c\":1.5e300}}",
        ] {
            let once = canonical(text).unwrap_or_default();
            assert_eq!(canonical(&once).as_deref(), Ok(&*once));
        }
        let deep = "[".repeat(33) + &"]".repeat(33);
        assert_eq!(canonical(&deep), Err(Invalid::Depth));
    }
}
