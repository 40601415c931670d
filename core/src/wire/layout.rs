//! How values lie in bytes: numbers as varints of seven bits each, the lowest first, texts, bytes and
//! lists with their length before them, an option behind 0 or 1, a kind behind its number, fields one
//! after the other. It is what [postcard](https://postcard.jamesmunns.com/wire-format) says of the same
//! types; without its visitors the browser build is 4.3 KB smaller.

use alloc::{boxed::Box, vec::Vec};
use core::str;

use super::BadFrame;
use crate::{
    id::{Epoch, ReplicaId, Seq, Turn},
    limits::INTEGER_MAX,
    record::Digest,
};

/// What can be laid out in bytes, and read back from them.
pub trait Layout<'a>: Sized {
    /// Appends the value.
    fn put(&self, out: &mut Vec<u8>);

    /// Takes a value from where the reader stands.
    ///
    /// # Errors
    /// When the bytes are no such value.
    fn take(from: &mut Reader<'a>) -> Result<Self, BadFrame>;
}

/// Reads values one after the other. No length is believed that is more than what is left.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Stands before the first of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// What has not been read.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn byte(&mut self) -> Result<u8, BadFrame> {
        let (byte, rest) = self.rest.split_first().ok_or(BadFrame)?;
        self.rest = rest;
        Ok(*byte)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], BadFrame> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or(BadFrame)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Most numbers have one byte: those with more stand apart, so that this is short.
    pub(crate) fn varint(&mut self) -> Result<u64, BadFrame> {
        match *self.rest {
            [byte @ ..0x80, ref rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self) -> Result<u64, BadFrame> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if part << shift >> shift != part {
                return Err(BadFrame);
            }
            number |= part << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(BadFrame)
    }

    /// How many bytes or elements follow. An element has a byte at least.
    pub(crate) fn length(&mut self) -> Result<usize, BadFrame> {
        let length = usize::try_from(self.varint()?).map_err(|_| BadFrame)?;
        if length <= self.rest.len() { Ok(length) } else { Err(BadFrame) }
    }
}

/// Appends a number.
pub(super) fn put_varint(out: &mut Vec<u8>, number: u64) {
    put_varints(out, [number]);
}

/// Appends numbers, all at once.
pub(crate) fn put_varints<const N: usize>(out: &mut Vec<u8>, numbers: [u64; N]) {
    let (mut laid, mut length) = ([[0; VARINT_MAX]; N], 0);
    let laid = laid.as_flattened_mut();
    for mut rest in numbers {
        loop {
            let [low, ..] = rest.to_le_bytes();
            rest >>= 7;
            if let Some(byte) = laid.get_mut(length) {
                *byte = if rest > 0 { low | 0x80 } else { low };
            }
            length += 1;
            if rest == 0 {
                break;
            }
        }
    }
    out.extend_from_slice(laid.get(..length).unwrap_or(&[]));
}

/// Bytes of the largest number.
const VARINT_MAX: usize = 10;

/// Appends bytes, with their length before them.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Lays the fields of a struct out in this order; those behind the semicolon are not laid out.
macro_rules! fields {
    ($name:ty { $($field:ident),* $(; $($absent:ident),*)? }) => {
        impl<'a> $crate::wire::Layout<'a> for $name {
            fn put(&self, out: &mut alloc::vec::Vec<u8>) {
                $($crate::wire::Layout::put(&self.$field, out);)*
            }

            fn take(
                from: &mut $crate::wire::Reader<'a>,
            ) -> Result<Self, $crate::wire::BadFrame> {
                Ok(Self {
                    $($field: $crate::wire::Layout::take(from)?,)*
                    $($($absent: Default::default(),)*)?
                })
            }
        }
    };
}
pub(crate) use fields;

/// Lays the kinds of an enum out, each behind its number, which is one byte below 128.
macro_rules! kinds {
    ($name:ty {
        $($number:literal => $kind:ident $(($($item:ident),*))? $({ $($field:ident),* })?),* $(,)?
    }) => {
        impl<'a> $crate::wire::Layout<'a> for $name {
            fn put(&self, out: &mut alloc::vec::Vec<u8>) {
                match self {
                    $(Self::$kind $(($($item),*))? $({ $($field),* })? => {
                        out.push($number);
                        $($($crate::wire::Layout::put($item, out);)*)?
                        $($($crate::wire::Layout::put($field, out);)*)?
                    })*
                }
            }

            fn take(
                from: &mut $crate::wire::Reader<'a>,
            ) -> Result<Self, $crate::wire::BadFrame> {
                match <u8 as $crate::wire::Layout>::take(from)? {
                    $($number => {
                        $($(let $item = $crate::wire::Layout::take(from)?;)*)?
                        $($(let $field = $crate::wire::Layout::take(from)?;)*)?
                        Ok(Self::$kind $(($($item),*))? $({ $($field),* })?)
                    })*
                    _ => Err($crate::wire::BadFrame),
                }
            }
        }
    };
}
pub(crate) use kinds;

impl Layout<'_> for u8 {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, BadFrame> {
        from.byte()
    }
}

impl Layout<'_> for u16 {
    fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(*self));
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, BadFrame> {
        from.varint()?.try_into().map_err(|_| BadFrame)
    }
}

impl Layout<'_> for u32 {
    fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(*self));
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, BadFrame> {
        from.varint()?.try_into().map_err(|_| BadFrame)
    }
}

impl Layout<'_> for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, *self);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, BadFrame> {
        from.varint()
    }
}

impl Layout<'_> for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, BadFrame> {
        match from.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(BadFrame),
        }
    }
}

impl<'a> Layout<'a> for &'a [u8] {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, self);
    }

    fn take(from: &mut Reader<'a>) -> Result<Self, BadFrame> {
        let length = from.length()?;
        from.bytes(length)
    }
}

impl<'a> Layout<'a> for &'a str {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.as_bytes());
    }

    fn take(from: &mut Reader<'a>) -> Result<Self, BadFrame> {
        str::from_utf8(Layout::take(from)?).map_err(|_| BadFrame)
    }
}

impl<'a> Layout<'a> for Box<str> {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.as_bytes());
    }

    fn take(from: &mut Reader<'a>) -> Result<Self, BadFrame> {
        <&str>::take(from).map(Box::from)
    }
}

impl<'a, T: Layout<'a>> Layout<'a> for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_some()));
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(from: &mut Reader<'a>) -> Result<Self, BadFrame> {
        if bool::take(from)? { T::take(from).map(Some) } else { Ok(None) }
    }
}

impl<'a, T: Layout<'a>> Layout<'a> for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.len() as u64);
        for element in self {
            element.put(out);
        }
    }

    fn take(from: &mut Reader<'a>) -> Result<Self, BadFrame> {
        let length = from.length()?;
        // It grows with what is there: a length alone reserves nothing.
        let mut list = Vec::new();
        for _ in 0..length {
            list.push(T::take(from)?);
        }
        Ok(list)
    }
}

impl<'a, A: Layout<'a>, B: Layout<'a>> Layout<'a> for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(from: &mut Reader<'a>) -> Result<Self, BadFrame> {
        Ok((A::take(from)?, B::take(from)?))
    }
}

impl<const N: usize> Layout<'_> for [u8; N] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, BadFrame> {
        from.bytes(N)?.try_into().map_err(|_| BadFrame)
    }
}

/// Lays out what wraps one value as that value.
macro_rules! wrappers {
    ($($name:ident),*) => {$(
        impl Layout<'_> for $name {
            fn put(&self, out: &mut Vec<u8>) {
                self.0.put(out);
            }

            fn take(from: &mut Reader<'_>) -> Result<Self, BadFrame> {
                Layout::take(from).map($name)
            }
        }
    )*};
}

wrappers!(ReplicaId, Epoch, Digest);

/// Seqs and turns: what names a greater number than JavaScript can is none, so that counting on never
/// overflows.
macro_rules! exact {
    ($($name:ident),*) => {$(
        impl Layout<'_> for $name {
            fn put(&self, out: &mut Vec<u8>) {
                put_varint(out, self.0);
            }

            fn take(from: &mut Reader<'_>) -> Result<Self, BadFrame> {
                let number = from.varint()?;
                if number <= INTEGER_MAX { Ok($name(number)) } else { Err(BadFrame) }
            }
        }
    )*};
}

exact!(Seq, Turn);
