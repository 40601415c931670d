//! `Idempotency-Key`: a repeat is answered as the first request was.

use neap_core::{
    authority::{Authority, Moment},
    id::Seq,
    limits::{ANSWER_BYTES_MAX, IDEMPOTENCY_KEY_BYTES_MAX, IDEMPOTENCY_MS},
    record::Digest,
};

use crate::{Answer, Answers, Outcome, call::Call};

/// The name under which an answer is kept, and the body that it is for; nothing without the header.
pub(crate) struct Once(Option<(Vec<u8>, [u8; 16])>);

impl Once {
    /// Reads it of a request about `what`.
    pub(crate) fn of(call: &Call, what: &str) -> Once {
        Once(call.headers.idempotency_key.as_ref().map(|key| {
            // A key counts for the subject that sent it.
            let mut name = call.admission.subject.to_be_bytes().to_vec();
            name.extend_from_slice(key.as_bytes());
            (name, Digest::of(what, "", Seq::ZERO, &call.body).0)
        }))
    }

    /// Runs a write, unless it has been answered before.
    pub(crate) fn run<S: Answers>(
        &self,
        machine: &mut Authority<S>,
        at: Moment,
        write: impl FnOnce(&mut Authority<S>) -> Outcome<S>,
    ) -> Outcome<S> {
        let Some((name, body)) = &self.0 else { return write(machine) };
        let forget = at.now.saturating_sub(IDEMPOTENCY_MS);
        let kept = machine.storage().answer(name)?;
        if let Some((_, kept)) = kept.filter(|(given, _)| *given >= forget) {
            return Ok(repeat(&kept, body));
        }
        let answer = write(machine)?;
        if is_kept(answer.status()) {
            let mut kept = body.to_vec();
            kept.extend_from_slice(&answer.status().to_be_bytes());
            kept.extend_from_slice(answer.body());
            machine.storage().put_answer(name, at.now, &kept, forget)?;
        }
        Ok(answer)
    }
}

/// Whether an answer with this status is kept: what was judged is, a mistake may be made good.
fn is_kept(status: u16) -> bool {
    matches!(status, 200 | 409 | 507)
}

/// Takes apart what is kept: the hash of the body that was answered, the status and the answer.
fn parts(kept: &[u8]) -> Option<(&[u8; 16], u16, &[u8])> {
    let (body, rest) = kept.split_first_chunk::<16>()?;
    let (status, answer) = rest.split_first_chunk::<2>()?;
    Some((body, u16::from_be_bytes(*status), answer))
}

/// Whether the relay can have kept this under this name. An import brings what it likes, and of a status that
/// is none, or that has no body, the platform makes no answer at all.
pub(crate) fn could_be_kept(name: &[u8], kept: &[u8]) -> bool {
    // The subject and the key.
    (9..=8_usize.saturating_add(IDEMPOTENCY_KEY_BYTES_MAX)).contains(&name.len())
        && kept.len() <= ANSWER_BYTES_MAX
        && parts(kept).is_some_and(|(_, status, _)| is_kept(status))
}

/// Gives the answer that was given before, unless it was to another body.
fn repeat(kept: &[u8], body: &[u8; 16]) -> Answer {
    match parts(kept).filter(|(_, status, _)| is_kept(*status)) {
        Some((before, status, answer)) if before == body => Answer::bytes(status, answer.to_vec()),
        Some(_) => {
            let detail = "this Idempotency-Key came with another body before";
            Answer::problem(422, "idempotency-mismatch", detail)
        }
        None => Answer::internal(),
    }
}
