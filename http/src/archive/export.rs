//! Writing a datastore out, a page at a time.

use std::ops::ControlFlow;

use neap_core::{
    authority::{Authority, Export, ExportPage, Trouble},
    limits::{EXPORT_SETTLED_MS, IDEMPOTENCY_MS, PAGE_BYTES},
};

use super::{Sum, line};
use crate::{Answer, Answers};

/// A datastore on its way out.
pub struct Exporter {
    id: String,
    begun: Option<Export>,
    /// The answer that was written last.
    answers: (u64, Vec<u8>),
    sum: Sum,
}

/// A part of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Lines; there is more.
    More(Vec<u8>),
    /// The last lines.
    Last(Vec<u8>),
    /// There is no datastore, or none any more that what was written so far is a part of. What has begun
    /// must be broken off, so that nobody takes it for the whole.
    Gone,
}

impl Exporter {
    pub(crate) fn new(id: String) -> Self {
        Exporter { id, begun: None, answers: (0, Vec::new()), sum: Sum::default() }
    }

    /// The answer, but for its body: that is the pieces. Where the first is [`Piece::Gone`], it is
    /// [`Answer::absent`].
    #[must_use]
    pub fn head() -> Answer {
        Answer::of_type(200, "application/x-ndjson", Vec::new())
    }

    /// Writes the next piece from what is committed at the moment `now`, in milliseconds since 1970.
    /// Between two pieces anything may happen; they come to one whole all the same.
    ///
    /// # Errors
    /// When storage fails; the export is then over.
    pub fn piece<S: Answers>(
        &mut self,
        machine: &Authority<S>,
        now: u64,
    ) -> Result<Piece, Trouble<S::Error>> {
        let mut out = Vec::new();
        if self.begun.is_none() {
            let Some(meta) = machine.alive(now) else { return Ok(Piece::Gone) };
            let (export, opening) = Export::begin(meta);
            push(&mut out, &mut self.sum, line::header(&self.id, meta, &opening));
            self.begun = Some(export);
        }
        let Some(export) = self.begun.as_mut() else { return Ok(Piece::Gone) };
        let Some(ExportPage { facts, closing }) = machine.export(export, now)? else {
            return Ok(Piece::Gone);
        };
        for fact in &facts {
            push(&mut out, &mut self.sum, line::fact(fact));
        }
        let Some(closing) = closing else { return Ok(Piece::More(out)) };
        if !self.answers(machine, now, &mut out)? {
            return Ok(Piece::More(out));
        }
        let end = line::end(&closing, &self.sum);
        push(&mut out, &mut self.sum, end);
        Ok(Piece::Last(out))
    }

    /// Writes the answers that still count. `false` where the piece is full before the end.
    fn answers<S: Answers>(
        &mut self,
        machine: &Authority<S>,
        now: u64,
        out: &mut Vec<u8>,
    ) -> Result<bool, Trouble<S::Error>> {
        let oldest = now.saturating_sub(IDEMPOTENCY_MS);
        // Two answers can be given in one moment, so the cursor stays behind those that are new.
        let settled = now.saturating_sub(EXPORT_SETTLED_MS);
        let mut is_done = true;
        let (mut last, sum) = (self.answers.clone(), &mut self.sum);
        machine.storage().answers((self.answers.0, &self.answers.1), &mut |at, name, value| {
            let is_settled = at < settled;
            if is_settled && out.len() >= PAGE_BYTES {
                is_done = false;
                return ControlFlow::Break(());
            }
            if at >= oldest {
                push(out, sum, line::answer(&name, at, &value));
            }
            if is_settled {
                last = (at, name);
            }
            ControlFlow::Continue(())
        })?;
        self.answers = last;
        Ok(is_done)
    }
}

fn push(out: &mut Vec<u8>, sum: &mut Sum, mut line: Vec<u8>) {
    sum.add(&line);
    out.append(&mut line);
    out.push(b'\n');
}
