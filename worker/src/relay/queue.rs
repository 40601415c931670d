//! What waits for the next group commit.

use futures_channel::oneshot;
use neap_core::{
    authority::{Moment, SessionId, Trouble},
    limits::{GROUP_BYTES_MAX, GROUP_MAX, GROUP_MIN, PACE_MAX_US, PACE_PER_SOCKET_US},
};

use neap_http::{Answer, Write};

use super::Machine;
use crate::storage::{Failure, SqlRows};

/// The least time from one group to the next, in milliseconds.
pub(super) fn pace_ms(sockets: usize) -> f64 {
    sockets.saturating_mul(PACE_PER_SOCKET_US).min(PACE_MAX_US) as f64 / 1_000.0
}

/// One thing to do in a group.
pub(super) enum Job {
    /// A frame of a session.
    Frame { session: SessionId, bytes: Vec<u8> },
    /// Another token of a session's bearer.
    Token { session: SessionId, token: String },
    /// A write over HTTP.
    Ask(Ask),
}

/// A write over HTTP, and who waits for it.
pub(super) struct Ask {
    /// The size of what it was asked with.
    pub(super) bytes: usize,
    pub(super) run: Write<SqlRows>,
    pub(super) reply: Option<Answer>,
    pub(super) sender: Option<oneshot::Sender<Answer>>,
}

impl Ask {
    pub(super) fn run(
        &mut self,
        machine: &mut Machine,
        moment: Moment,
    ) -> Result<(), Trouble<Failure>> {
        self.reply = Some((self.run)(machine, moment)?);
        Ok(())
    }

    /// Tells what came of it. Only for a group that has been committed.
    pub(super) fn answer(self) {
        let answer = self.reply.unwrap_or_else(Answer::internal);
        if let Some(sender) = self.sender {
            // Whoever has gone away does not hear it.
            let _ = sender.send(answer);
        }
    }

    /// Tells that nothing came of it.
    pub(super) fn fail(mut self, answer: Answer) {
        self.reply = Some(answer);
        self.answer();
    }
}

/// Jobs in the order of their arrival.
#[derive(Default)]
pub(super) struct Queue {
    jobs: Vec<Job>,
    bytes: usize,
}

impl Queue {
    pub(super) fn push(&mut self, job: Job) {
        let bytes = match &job {
            Job::Frame { bytes, .. } => bytes.len(),
            Job::Token { token, .. } => token.len(),
            Job::Ask(ask) => ask.bytes,
        };
        self.bytes = self.bytes.saturating_add(bytes);
        self.jobs.push(job);
    }

    /// Whether waiting any longer would only make it larger: of so many sockets each has said something by now.
    pub(super) fn is_full(&self, sockets: usize) -> bool {
        let jobs = sockets.clamp(GROUP_MIN, GROUP_MAX);
        self.jobs.len() >= jobs || self.bytes >= GROUP_BYTES_MAX
    }

    pub(super) fn take(&mut self) -> Vec<Job> {
        self.bytes = 0;
        core::mem::take(&mut self.jobs)
    }
}
