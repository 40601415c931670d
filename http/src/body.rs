//! How much of a body is read.

use neap_core::limits::{BODY_BYTES_MAX, MESSAGE_BYTES_MAX};

/// A body on its way in. The rest of one that is too long is read and thrown away as far as makes sense, since most clients
/// hear an answer only when they have said all.
#[derive(Debug)]
pub struct Incoming {
    bytes: Vec<u8>,
    /// Bytes that have come, or that were announced where nobody reads so many.
    size: u64,
}

impl Incoming {
    /// Starts with what the header `Content-Length` says, if there is one.
    #[must_use]
    pub fn new(length: Option<&str>) -> Incoming {
        let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
        // No room is made for what was only announced.
        Incoming {
            bytes: Vec::new(),
            size: if length > MESSAGE_BYTES_MAX as u64 { length } else { 0 },
        }
    }

    /// Whether more of it is to be read.
    #[must_use]
    pub const fn goes_on(&self) -> bool {
        self.size <= MESSAGE_BYTES_MAX as u64
    }

    /// Takes what comes next.
    pub fn take(&mut self, chunk: &[u8]) {
        self.size = self.size.saturating_add(chunk.len() as u64);
        if self.size <= BODY_BYTES_MAX as u64 {
            self.bytes.extend_from_slice(chunk);
        }
    }

    /// Gives all of it; `None` where it is longer than it may be.
    #[must_use]
    pub fn end(self) -> Option<Vec<u8>> {
        (self.size <= BODY_BYTES_MAX as u64).then_some(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives the body, and how many of the chunks were read.
    fn read(length: Option<&str>, chunks: &[usize]) -> (Option<usize>, usize) {
        let mut incoming = Incoming::new(length);
        let mut count = 0;
        for chunk in chunks {
            if !incoming.goes_on() {
                break;
            }
            incoming.take(&vec![b' '; *chunk]);
            count += 1;
        }
        (incoming.end().map(|bytes| bytes.len()), count)
    }

    #[test]
    fn what_is_too_long_is_read_to_its_end_as_far_as_makes_sense() {
        let most = BODY_BYTES_MAX;
        assert_eq!(read(None, &[]), (Some(0), 0));
        assert_eq!(read(Some("nonsense"), &[1, most - 1]), (Some(most), 2));
        assert_eq!(read(None, &[most, 1, 1]), (None, 3));
        assert_eq!(read(None, &[MESSAGE_BYTES_MAX, 1, 1]), (None, 2));
        for length in ["16777217", "18446744073709551615"] {
            assert_eq!(read(Some(length), &[1]), (None, 0), "{length}");
        }
        assert_eq!(read(Some("16777216"), &[most, 1]), (None, 2));
    }
}
