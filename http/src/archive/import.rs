//! Reading a datastore in, while it comes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use neap_core::{
    authority::{Authority, Closing, Fact, Flaw, ImportId, Moment, Opening},
    datastore::{BadOptions, Kind, Options},
    id::Seq,
    limits::{ARCHIVE_LINE_BYTES_MAX, PAGE_BYTES},
    mutation::Malformed,
    record::Digest,
};

use super::{
    Sum,
    line::{self, Read, Unreadable},
};
use crate::{Answer, Answers, Outcome, Settings, Write, datastores::describe, once};

/// A datastore on its way in. The shell gives it the bytes of the body as they come with
/// [`feed`](Self::feed) and [`end`](Self::end), and after each runs [`step`](Self::step) until there is
/// none, as any other write. A step that is answered with 204 is no answer to the request; the first
/// other one is. Unless that is 201, [`abort`](Self::abort) is to be run before it is given.
pub struct Importer {
    id: String,
    ttl_max: u32,
    /// Bytes that are no whole line yet, and how many of them are known to hold no line feed.
    rest: Vec<u8>,
    seen: usize,
    sum: Sum,
    stage: Stage,
    /// The primary field of each pool.
    primaries: BTreeMap<String, Option<Box<str>>>,
    /// Steps that were read and not yet taken.
    steps: Vec<Step>,
    bytes: usize,
    /// What is wrong with the line after those steps.
    wrong: Option<Answer>,
    is_over: bool,
    import: Arc<Mutex<Option<ImportId>>>,
}

/// How far the text has come.
enum Stage {
    Header,
    Facts {
        seq: Seq,
        digest: Digest,
    },
    /// The end line has come; what it asks for waits until nothing more can come.
    End(Option<Closing>),
}

/// What a line asks for, and the number of the line.
type Step = (u64, Ask);

#[derive(Clone)]
enum Ask {
    Begin(Opening),
    Fact(Fact),
    Answer { name: Vec<u8>, at: u64, value: Vec<u8> },
    Finish(Closing),
}

impl Importer {
    pub(crate) fn new(settings: &Settings, id: String) -> Self {
        Importer {
            id,
            ttl_max: settings.bounds.ttl_max,
            rest: Vec::new(),
            seen: 0,
            sum: Sum::default(),
            stage: Stage::Header,
            primaries: BTreeMap::new(),
            steps: Vec::new(),
            bytes: 0,
            wrong: None,
            is_over: false,
            import: Arc::default(),
        }
    }

    /// Takes bytes of the body.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
    }

    /// The body is over.
    pub fn end(&mut self) {
        self.is_over = true;
    }

    /// What is to be done next with what has come so far; `None` where more has to come.
    pub fn step<S: Answers>(&mut self) -> Option<Write<S>> {
        self.read();
        if self.bytes < PAGE_BYTES && self.wrong.is_none() && !self.is_over {
            return None;
        }
        if self.bytes < PAGE_BYTES
            && self.wrong.is_none()
            && let Stage::End(closing) = &mut self.stage
        {
            let finish = closing.take().map(|closing| (self.sum.lines, Ask::Finish(closing)));
            self.steps.extend(finish);
        }
        if self.steps.is_empty() {
            return self.wrong.take().map(|wrong| refusing(wrong, Arc::clone(&self.import)));
        }
        self.bytes = 0;
        let steps = std::mem::take(&mut self.steps);
        let (id, import) = (self.id.clone(), Arc::clone(&self.import));
        Some(Box::new(move |machine, at| run(&id, &import, &steps, machine, at)))
    }

    /// Leaves nothing behind of an import that came to nothing.
    pub fn abort<S: Answers>(&self) -> Write<S> {
        let import = Arc::clone(&self.import);
        Box::new(move |machine, _| {
            let id = import.lock().ok().and_then(|import| *import);
            if let Some(id) = id {
                machine.abort_import(id)?;
            }
            Ok(Answer::empty(204))
        })
    }

    /// Reads whole lines until a step is full of them.
    fn read(&mut self) {
        let mut from = 0;
        while self.wrong.is_none() && self.bytes < PAGE_BYTES {
            let fresh = self.rest.get(from.max(self.seen)..).unwrap_or_default();
            let Some(length) = fresh.iter().position(|byte| *byte == b'\n') else {
                self.seen = self.rest.len();
                break;
            };
            let end = from.max(self.seen).saturating_add(length);
            let line = self.rest.get(from..end).unwrap_or_default().to_vec();
            from = end.saturating_add(1);
            self.seen = from;
            self.read_line(&line);
        }
        self.rest.drain(..from.min(self.rest.len()));
        self.seen = self.seen.saturating_sub(from);
        if self.wrong.is_some() || self.bytes >= PAGE_BYTES {
            return;
        }
        if self.rest.len() > ARCHIVE_LINE_BYTES_MAX {
            self.wrong = Some(self.problem(413, "too-large", "the line is too long"));
        } else if self.is_over {
            let last = std::mem::take(&mut self.rest);
            if !last.is_empty() {
                // The last line may come without a line feed.
                self.read_line(&last);
            }
            if self.wrong.is_none() && !matches!(self.stage, Stage::End(_)) {
                let detail = "the text is cut off: there is no end line";
                self.wrong = Some(self.problem(400, "invalid-data", detail));
            }
        }
    }

    fn read_line(&mut self, line: &[u8]) {
        self.bytes = self.bytes.saturating_add(line.len());
        let ask = std::str::from_utf8(line)
            .map_err(|_| self.problem(400, "invalid-json", "the line is not UTF-8"))
            .and_then(|text| {
                line::read(text).map_err(|unreadable| match unreadable {
                    Unreadable::Json(detail) => self.problem(400, "invalid-json", &detail),
                    Unreadable::Shape(detail) => self.problem(400, "invalid-data", &detail),
                })
            })
            .and_then(|read| self.take(read, line));
        self.sum.add(line);
        match ask {
            Ok(ask) => self.steps.extend(ask.map(|ask| (self.sum.lines, ask))),
            Err(answer) => self.wrong = Some(answer),
        }
    }

    /// Makes of a line what it asks for at once, where it may stand here.
    fn take(&mut self, read: Read, line: &[u8]) -> Result<Option<Ask>, Answer> {
        let invalid = |detail: &str| self.problem(400, "invalid-data", detail);
        match (&self.stage, read) {
            (Stage::Header, Read::Header(opening, seq, digest)) => {
                let options = Options {
                    primary: Some(opening.info.primary.clone()),
                    // Where the life has no end, its length means nothing.
                    ttl: (opening.info.kind == Kind::Temp).then_some(opening.info.ttl),
                    ..Options::default()
                };
                options.check(self.ttl_max).map_err(|bad| {
                    let detail = match bad {
                        BadOptions::Ttl => "ttl is longer than this relay allows, or zero",
                        BadOptions::Primary => "primary is a name of 1 to 64 bytes",
                    };
                    self.problem(400, "invalid-options", detail)
                })?;
                self.stage = Stage::Facts { seq, digest };
                Ok(Some(Ask::Begin(opening)))
            }
            (Stage::Header, _) => Err(invalid("the first line is the header")),
            (Stage::End(_), _) => Err(invalid("there is something after the end")),
            (Stage::Facts { .. }, Read::Header(..)) => Err(invalid("there is a second header")),
            (Stage::Facts { .. }, Read::Fact(fact)) => {
                if let Fact::Pool(pool) = &fact {
                    self.primaries.insert(pool.name.to_string(), pool.terms.primary.clone());
                }
                Ok(Some(Ask::Fact(fact)))
            }
            (Stage::Facts { .. }, Read::Item { pool, seq, data }) => {
                let Some(primary) = self.primaries.get(&pool) else {
                    return Err(invalid("the item comes before its pool"));
                };
                Ok(Some(Ask::Fact(line::item(pool, primary.as_deref(), seq, data))))
            }
            (Stage::Facts { .. }, Read::Answer { name, at, value }) => {
                if !once::could_be_kept(&name, &value) {
                    return Err(invalid("no answer that a relay keeps"));
                }
                Ok(Some(Ask::Answer { name, at, value }))
            }
            (Stage::Facts { seq, digest }, Read::End { closing, lines, sha256 }) => {
                let is_unmoved = *seq == closing.head;
                let is_same =
                    lines == self.sum.lines && sha256 == self.sum.hex(line::before_hash(line));
                if !is_same || closing.head < *seq || is_unmoved && *digest != closing.digest {
                    let flaw = Flaw::Digest;
                    return Err(self.problem(400, flaw.code(), flaw.message()));
                }
                self.stage = Stage::End(Some(closing));
                Ok(None)
            }
        }
    }

    /// Says what is wrong with the line that follows on those that were read.
    fn problem(&self, status: u16, code: &str, detail: &str) -> Answer {
        at_line(self.sum.lines.saturating_add(1), status, code, detail)
    }
}

fn at_line(number: u64, status: u16, code: &str, detail: &str) -> Answer {
    Answer::problem(status, code, &format!("line {number}: {detail}"))
}

/// Says what is wrong with the text; where the id is taken, that comes before what is wrong with the header.
fn refusing<S: Answers>(wrong: Answer, import: Arc<Mutex<Option<ImportId>>>) -> Write<S> {
    Box::new(move |machine, at| {
        let has_begun = import.lock().is_ok_and(|import| import.is_some());
        let is_taken = machine.alive(at.now).is_some() || machine.is_importing(at.now);
        Ok(if is_taken && !has_begun { taken() } else { wrong.clone() })
    })
}

fn taken() -> Answer {
    let detail = "there is a datastore with this id, or one is being imported";
    Answer::problem(409, "already-exists", detail)
}

fn run<S: Answers>(
    id: &str,
    import: &Mutex<Option<ImportId>>,
    steps: &[Step],
    machine: &mut Authority<S>,
    at: Moment,
) -> Outcome<S> {
    let Ok(mut import) = import.lock() else { return Ok(Answer::internal()) };
    for (number, ask) in steps {
        let done = match (ask, *import) {
            (Ask::Begin(opening), _) => {
                *import = machine.begin_import(opening, at)?;
                if import.is_none() {
                    return Ok(taken());
                }
                Ok(())
            }
            (_, None) => Err(Flaw::Gone),
            (Ask::Fact(fact), Some(import)) => machine.import(import, fact.clone(), at.now)?,
            (Ask::Answer { name, at: given, value }, Some(import)) => {
                let bytes = name.len().saturating_add(value.len());
                let touched = machine.touch_import(import, bytes, at.now);
                if touched.is_ok() {
                    // Kept whole: what is too old is passed over when it is asked for.
                    machine.storage().put_answer(name, (*given).min(at.now), value, 0)?;
                }
                touched
            }
            (Ask::Finish(closing), Some(import)) => machine.finish_import(import, closing)?,
        };
        if let Err(flaw) = done {
            let status = match flaw {
                Flaw::Malformed(Malformed::RecordSize) => 413,
                Flaw::Malformed(_) | Flaw::Order | Flaw::Range | Flaw::Digest => 400,
                Flaw::Full => 413,
                Flaw::Gone => 409,
            };
            return Ok(at_line(*number, status, flaw.code(), flaw.message()));
        }
    }
    Ok(match machine.alive(at.now) {
        Some(meta) => Answer::json(201, describe(id, meta).flag("created", true)),
        None => Answer::empty(204),
    })
}

#[cfg(test)]
mod tests;
