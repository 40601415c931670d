//! What makes an input no mutation, as a number that crosses cheaply.

use neap_core::{id::BadId, mutation::Malformed, value::Invalid};

/// Every kind of malformed input; its number is its place, from 1.
const ALL: [Malformed; 17] = [
    Malformed::Name(BadId::Empty),
    Malformed::Name(BadId::Long),
    Malformed::Name(BadId::Character),
    Malformed::Key(BadId::Empty),
    Malformed::Key(BadId::Long),
    Malformed::Key(BadId::Character),
    Malformed::Data(Invalid::Syntax),
    Malformed::Data(Invalid::Depth),
    Malformed::Data(Invalid::Duplicate),
    Malformed::Data(Invalid::Number),
    Malformed::Data(Invalid::String),
    Malformed::Data(Invalid::NotObject),
    Malformed::KeyMismatch,
    Malformed::RecordSize,
    Malformed::MutationSize,
    Malformed::OpCount,
    Malformed::Mixed,
];

/// The number of an error, from 1.
pub(crate) fn number(error: Malformed) -> u32 {
    let place = ALL.iter().position(|known| *known == error).unwrap_or(0);
    u32::try_from(place).unwrap_or(0) + 1
}

/// The error of a number.
pub(crate) fn malformed(number: u32) -> Option<Malformed> {
    ALL.get(usize::try_from(number).ok()?.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_its_own_number() {
        for (place, error) in ALL.iter().enumerate() {
            assert_eq!(number(*error) as usize, place + 1);
            assert_eq!(malformed(number(*error)), Some(*error));
        }
        assert_eq!(malformed(0), None);
    }
}
