//! Lives of the datastore that end while siblings speak of them.

use super::Siblings;
use crate::{
    id::Epoch,
    replica::{Replica, confirm::Unsettled},
};

/// So many lives that are over are remembered.
const LIVES_MAX: usize = 8;

impl Siblings {
    /// Whether a life is over: a note of it may come late.
    pub(super) fn outlived(&self, life: Option<Epoch>) -> bool {
        life.is_some_and(|life| self.over.contains(&life))
    }
}

impl Replica {
    /// Forgets what siblings have had settled in lives that are over, also in those that they alone have seen: nobody will
    /// hold its effects.
    pub(in crate::replica) fn outlive_siblings(&mut self, before: Option<Epoch>) {
        let mut unsettled = Unsettled::default();
        if self.siblings.over.len() == LIVES_MAX {
            self.siblings.over.remove(0);
        }
        self.siblings.over.extend(before);
        for place in 1..self.authors.len() {
            self.outlive_sibling(place, &mut unsettled);
        }
        self.rebase(unsettled);
    }

    /// Awaits of a sibling what is of the present life alone.
    pub(super) fn outlive_sibling(&mut self, place: usize, unsettled: &mut Unsettled) {
        let now = self.epoch();
        let Some(author) = self.authors.get_mut(place) else { return };
        let over = author.awaited.iter().filter(|one| one.epoch != now);
        let last = over.map(|one| one.acked).max();
        author.awaited.retain(|one| one.epoch == now);
        self.pass_over(place, last.unwrap_or_default(), unsettled);
    }
}
