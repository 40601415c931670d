//! What mutations stand on: the records that were under their keys when the app made them.

use super::{Ordinal, Outbox, Pending, Shown, Touch};
use crate::{
    replica::{
        chains::link_of,
        table::{Collection, Table},
    },
    wire,
};

/// A mutation undoes another one.
#[derive(Debug)]
pub(super) struct Undo {
    pub(super) undo: Ordinal,
    pub(super) undone: Ordinal,
}

/// Hashes a record, or that there is none; never to zero. Who finds another record with the same hash has only what is his
/// own overwritten.
fn hash_of(data: Option<&str>) -> u32 {
    let [a, b, c, d, ..] = wire::seal(data.unwrap_or_default().as_bytes(), 0).to_le_bytes();
    u32::from_le_bytes([a, b, c, d]) | 1
}

impl Outbox {
    /// The app has just made a mutation, and sees what is beneath it.
    pub(in crate::replica) fn see(&mut self, ordinal: Ordinal, table: &Table) {
        let mut at = 0;
        while let Some(beneath) = self.beneath(ordinal, at, table, false) {
            if let Some(touch) =
                self.touch_mut(ordinal, at).filter(|touch| touch.shown != Shown::Nothing)
            {
                touch.ground = beneath;
            }
            at += 1;
        }
    }

    fn touch_mut(&mut self, ordinal: Ordinal, at: usize) -> Option<&mut Touch> {
        self.get_mut(ordinal)?.touches.get_mut(at)
    }

    /// The hash of what is beneath a mutation by now, by one of its touches. Where it `is_ordered`, what siblings have pending
    /// may be beneath it or not.
    fn beneath(&self, ordinal: Ordinal, at: usize, table: &Table, is_ordered: bool) -> Option<u32> {
        let touch = self.get(ordinal)?.touches.get(at)?;
        let ((collection, key), links) = self.chains.at(touch.chain)?;
        let data = match self.newest_of(links, ordinal) {
            Some((other, _)) if is_ordered && other.author > 0 => return Some(0),
            Some((_, shown)) => shown,
            None => table.get(*collection, key).map(|held| held.data),
        };
        Some(hash_of(data))
    }

    /// Whether something else is beneath a mutation by now than the app saw.
    pub(in crate::replica) fn has_moved(
        &self,
        ordinal: Ordinal,
        table: &Table,
        is_ordered: bool,
    ) -> bool {
        let Some(entry) = self.get(ordinal) else { return false };
        let mut touches = entry.touches.iter().enumerate();
        touches.any(|(at, touch)| {
            let ground = touch.ground;
            ground != 0 && self.beneath(ordinal, at, table, is_ordered) != Some(ground)
        })
    }

    /// A mutation comes in the order now and changes a key, under which the table still has what was there before.
    pub(in crate::replica) fn look_beneath(
        &mut self,
        ordinal: Ordinal,
        place: (Collection, &str),
        table: &Table,
    ) {
        let met = hash_of(table.get(place.0, place.1).map(|held| held.data));
        let link = link_of(self.chains.links(place), ordinal);
        let Some(entry) = self.get_mut(ordinal) else { return };
        let touch = link.and_then(|link| entry.touches.get_mut(link.touch));
        entry.is_overtaken |= touch.is_none_or(|touch| core::mem::take(&mut touch.ground) != met);
    }

    /// A mutation came in the order as it stands here: whether nothing has moved beneath it.
    pub(in crate::replica) fn stands(&mut self, ordinal: Ordinal, table: &Table) -> bool {
        let has_moved = self.has_moved(ordinal, table, true);
        if let Some(entry) = self.get_mut(ordinal).filter(|_| !has_moved) {
            entry.touches.iter_mut().for_each(|touch| touch.ground = 0);
        }
        !has_moved
    }

    /// Whether a mutation shows anything.
    pub(in crate::replica) fn shows(&self, ordinal: Ordinal) -> bool {
        let shows = |touch: &Touch| touch.shown != Shown::Nothing;
        self.get(ordinal).is_some_and(|entry| entry.touches.iter().any(shows))
    }

    /// Whether the order may have had something else beneath a mutation than the app saw, or changed more by it.
    pub(in crate::replica) fn is_overtaken(&self, ordinal: Ordinal) -> bool {
        let is_open = |touch: &Touch| touch.ground != 0;
        let is = |entry: &Pending| entry.is_overtaken || entry.touches.iter().any(is_open);
        self.get(ordinal).is_some_and(is)
    }

    /// A mutation undoes another one.
    pub(in crate::replica) fn undo(&mut self, undo: Ordinal, undone: Ordinal) {
        self.undos.push(Undo { undo, undone });
    }

    /// The own mutation that undoes another one.
    pub(in crate::replica) fn undo_of(&self, ordinal: Ordinal) -> Option<Ordinal> {
        let pair = self.undos.iter().find(|pair| pair.undone == ordinal)?;
        Some(pair.undo).filter(|undo| self.is_own(*undo))
    }

    /// Whether a mutation undoes an own one that has no outcome yet.
    pub(in crate::replica) fn undoes_pending(&self, ordinal: Ordinal) -> bool {
        self.undos.iter().any(|pair| pair.undo == ordinal && self.is_own(pair.undone))
    }

    fn is_own(&self, ordinal: Ordinal) -> bool {
        self.get(ordinal).is_some_and(|entry| entry.author == 0)
    }
}
