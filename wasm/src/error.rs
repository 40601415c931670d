//! What makes an input no mutation, as a number that crosses cheaply.

use neap_core::mutation::Malformed;

/// The number of an error, from 1; `errors.ts` of the package says what each is called.
pub(crate) const fn number(error: Malformed) -> u32 {
    match error {
        Malformed::Name(_) => 1,
        Malformed::Key(_) => 2,
        Malformed::Data(_) => 3,
        Malformed::KeyMismatch => 4,
        Malformed::RecordSize => 5,
        Malformed::MutationSize => 6,
        Malformed::OpCount => 7,
        Malformed::Mixed => 8,
    }
}

#[cfg(test)]
mod tests {
    use neap_core::{id::BadId, value::Invalid};

    use super::*;

    /// The package has a code and a message for each number, and they are those of HTTP.
    #[test]
    fn the_package_calls_errors_what_http_does() {
        let texts = include_str!("../npm/src/errors.ts");
        let (_, list) = texts.split_once("MALFORMED").unwrap_or_default();
        let rows: Vec<&str> = list.lines().filter(|line| line.starts_with("  [\"")).collect();
        let all = [
            Malformed::Name(BadId::Empty),
            Malformed::Key(BadId::Empty),
            Malformed::Data(Invalid::Syntax),
            Malformed::KeyMismatch,
            Malformed::RecordSize,
            Malformed::MutationSize,
            Malformed::OpCount,
            Malformed::Mixed,
        ];
        assert_eq!(rows.len(), all.len());
        for (place, (error, row)) in (1..).zip(all.iter().zip(rows)) {
            assert_eq!(number(*error), place);
            assert_eq!(row, format!("  [{:?}, {:?}],", error.code(), error.message()));
        }
    }
}
