//! What a replica shows the others.

use alloc::{boxed::Box, vec::Vec};

use super::{Phase, Replica};
use crate::wire::{self, Up};

impl Replica {
    /// Shows the others a state, as JSON, for as long as the connection stands and in each one to come;
    /// `None` ends it. The shell paces it: at most one in
    /// [`PRESENCE_MS`](crate::limits::PRESENCE_MS).
    pub fn show(&mut self, state: Option<&str>) {
        self.shows = state.map(Box::from);
        self.show_is_due = true;
    }

    pub(super) fn show_frame(&mut self) -> Option<Vec<u8>> {
        let is_due = self.phase == Phase::Live && core::mem::take(&mut self.show_is_due);
        is_due.then(|| wire::encode_up(&Up::Presence(self.shows.as_deref())))
    }
}
