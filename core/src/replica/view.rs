//! What the app reads: confirmed records with the outbox on top.

use alloc::{borrow::Cow, boxed::Box, vec::Vec};
use core::convert::Infallible;

use super::{
    Replica,
    outbox::{Ordinal, Outbox},
    table::{Collection, Names, Table},
};
use crate::{
    id::Seq,
    mutation::{Base, Found, Stamp},
    order::order,
};

/// What is known of a record besides its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Its confirmed seq; `None` where the order knows no such record.
    pub seq: Option<Seq>,
    /// Whether a mutation that speaks of it has no outcome.
    pub pending: bool,
}

/// The view before a certain entry of the outbox, as that entry's author sees it.
pub(super) struct Before<'a> {
    pub(super) names: &'a Names,
    pub(super) table: &'a Table,
    pub(super) outbox: &'a Outbox,
    pub(super) end: Ordinal,
    pub(super) author: usize,
}

impl Base for Before<'_> {
    type Error = Infallible;

    fn find(&self, collection: &str, key: &str) -> Result<Option<Found<'_>>, Infallible> {
        let Some(collection) = self.names.find(collection) else {
            return Ok(None);
        };
        if let Some((entry, shown)) = self.outbox.newest((collection, key), self.end) {
            let is_mine = entry.author == self.author;
            let stamp = if is_mine { Stamp::Mine(entry.turn) } else { Stamp::Theirs };
            return Ok(shown.map(|data| Found { stamp, data: Cow::Borrowed(data) }));
        }
        let held = self.table.get(collection, key);
        Ok(held
            .map(|held| Found { stamp: Stamp::Ordered(held.seq), data: Cow::Borrowed(held.data) }))
    }
}

impl Replica {
    pub(super) fn before(&self, end: Ordinal, author: usize) -> Before<'_> {
        Before { names: &self.names, table: &self.table, outbox: &self.outbox, end, author }
    }

    /// The data that is shown for a key.
    pub(super) fn shown(&self, collection: Collection, key: &str) -> Option<&str> {
        if self.outbox.speaks_of((collection, key))
            && let Some((_, shown)) = self.outbox.newest((collection, key), self.outbox.next())
        {
            return shown;
        }
        self.table.get(collection, key).map(|held| held.data)
    }

    /// Reads a record of the view as minified JSON.
    #[must_use]
    pub fn get(&self, collection: &str, key: &str) -> Option<&str> {
        self.shown(self.names.find(collection)?, key)
    }

    /// What is known of a record besides its data.
    #[must_use]
    pub fn meta(&self, collection: &str, key: &str) -> Meta {
        let Some(collection) = self.names.find(collection) else {
            return Meta { seq: None, pending: false };
        };
        Meta {
            seq: self.table.get(collection, key).map(|held| held.seq),
            pending: self.outbox.speaks_of((collection, key)),
        }
    }

    /// How many records of a collection the view has.
    #[must_use]
    pub fn size(&self, collection: &str) -> usize {
        let Some(collection) = self.names.find(collection) else {
            return 0;
        };
        let (mut more, mut fewer) = (0, 0);
        for (_, key) in self.outbox.places().iter().filter(|place| place.0 == collection) {
            match (self.table.get(collection, key).is_some(), self.shown(collection, key).is_some())
            {
                (false, true) => more += 1,
                (true, false) => fewer += 1,
                (true, true) | (false, false) => {}
            }
        }
        self.table.count(collection) + more - fewer
    }

    /// The keys of a collection in the view, in the order of their bytes.
    #[must_use]
    pub fn keys(&self, collection: &str) -> Vec<Box<str>> {
        let Some(collection) = self.names.find(collection) else {
            return Vec::new();
        };
        let confirmed = self.table.entries().filter(|(of, ..)| *of == collection);
        let mut keys: Vec<Box<str>> = confirmed
            .filter(|(_, key, _)| !self.outbox.speaks_of((collection, key)))
            .map(|(_, key, _)| key.into())
            .collect();
        let touched = self.outbox.places();
        let touched = touched.iter().filter(|place| place.0 == collection);
        let shown = touched.filter(|(_, key)| self.shown(collection, key).is_some());
        keys.extend(shown.map(|(_, key)| Box::from(&**key)));
        let sorted = order(keys.len(), &|one, other| keys.get(one).cmp(&keys.get(other)));
        sorted.into_iter().filter_map(|place| keys.get_mut(place).map(core::mem::take)).collect()
    }

    /// The confirmed record under a key, with its seq.
    #[must_use]
    pub fn confirmed(&self, collection: &str, key: &str) -> Option<(Seq, &str)> {
        let held = self.table.get(self.names.find(collection)?, key)?;
        Some((held.seq, held.data))
    }
}
