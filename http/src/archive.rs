//! A whole datastore as a text: out of one relay, into another.
//!
//! One JSON object a line (NDJSON), each with its `type`: a `header`, then `record`, `tombstone`, `pool`,
//! `item`, `ledger` and `answer` in any number, then an `end` with what all of it comes to and, as its last
//! member, the SHA-256 of all bytes before the comma in front of that. Of two lines that speak of one key, identity, replica or answer the later
//! counts: an export goes on while others write. `line` alone knows how a line is written.

mod export;
mod import;
mod line;

pub use export::{Exporter, Piece};
pub use import::Importer;

/// What the header calls the format, and which version of it this code writes and reads.
const FORMAT: &str = "neap";
const VERSION: u32 = 1;

/// Sums up lines, without their end.
#[derive(Clone, Default)]
struct Sum {
    lines: u64,
    hash: sha2::Sha256,
}

impl Sum {
    /// Takes a line, its line feed not included.
    fn add(&mut self, line: &[u8]) {
        use sha2::Digest as _;
        self.lines = self.lines.saturating_add(1);
        self.hash.update(line);
        self.hash.update(b"\n");
    }

    /// The hash of all lines and of what the last one says before the hash itself.
    fn hex(&self, last: &[u8]) -> String {
        use sha2::Digest as _;
        let hash = self.hash.clone().chain_update(last).finalize();
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
