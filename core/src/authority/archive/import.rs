//! Taking a datastore in. Until all of it is there and adds up, there is none.

use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};

use super::{Closing, Fact, Flaw, ImportId, Opening, PoolFact};
use crate::{
    authority::{Authority, Moment, Trouble, apply::count, ledger::Entry},
    datastore::{Kind, Meta, Options},
    id::{ReplicaId, Seq, Turn},
    limits::{IMPORT_IDLE_MS, IMPORT_REST_BYTES, INTEGER_MAX, POOLS_MAX, UNACKED_MAX},
    mutation::{Malformed, Op, Outcome},
    pool::{self, Item, Pool},
    record::{Digest, Row},
    storage::Storage,
    value::{canonical, check_value},
    wire,
};

/// An import that is under way.
#[derive(Debug)]
pub(in crate::authority) struct Import {
    /// The datastore as far as it has come.
    meta: Meta,
    /// The place of the last row.
    last: (Seq, Box<str>, Box<str>),
    /// Each pool as far as it has come, and the seq of its last item.
    pools: BTreeMap<Box<str>, (Pool, PoolFact, Seq)>,
    /// The newest seq that an account speaks of.
    newest: Seq,
    /// Bytes of what has come besides records and items: of what is gone, accounts and answers.
    rest: u64,
    /// When something last came, in milliseconds since 1970.
    touched: u64,
}

impl Import {
    fn keeps(&mut self, bytes: usize) {
        self.rest = self.rest.saturating_add(bytes as u64);
    }
}

/// What stands in the place of a datastore's stored value while an import is under way. Whoever finds
/// it without knowing of an import has found the remains of one.
pub(in crate::authority) const MARK: &[u8] = &[];

impl<S: Storage> Authority<S> {
    /// Begins to take in a datastore, which is absent until [`finish_import`](Self::finish_import).
    /// `None` where there is one, or where it is being imported already.
    ///
    /// # Errors
    /// When storage fails.
    pub fn begin_import(
        &mut self,
        opening: &Opening,
        moment: Moment,
    ) -> Result<Option<ImportId>, Trouble<S::Error>> {
        let Moment { now, dice } = moment;
        if self.alive(now).is_some() || self.is_importing(now) {
            return Ok(None);
        }
        if self.meta.is_some() || self.has_remains(now) {
            self.destroy()?;
        }
        let mut meta = Meta::create(&Options::default(), dice, now);
        meta.info = opening.info.clone();
        meta.ledger_floor = opening.ledger_floor.min(now);
        if meta.info.kind == Kind::Permanent {
            meta.info.expires_at = None;
        } else if meta.info.expires_at.is_none_or(|last| last <= now) {
            // Its life is over; the copy has one of its own.
            meta.info.live_until(now, meta.info.ttl);
        } else {
            // Where it came from lives may be longer than here.
            let longest = now.saturating_add(u64::from(self.settings.ttl_max) * 1_000);
            meta.info.expires_at = meta.info.expires_at.map(|last| last.min(longest));
        }
        self.storage.put_meta(MARK)?;
        self.has_mark = true;
        self.import = Some(Box::new(Import {
            meta,
            last: (Seq::ZERO, "".into(), "".into()),
            pools: BTreeMap::new(),
            newest: Seq::ZERO,
            rest: 0,
            touched: now,
        }));
        Ok(Some(ImportId(dice)))
    }

    /// Whether a datastore is being imported, and the import has not stood still for too long.
    #[must_use]
    pub fn is_importing(&self, now: u64) -> bool {
        self.import.as_ref().is_some_and(|import| now < import.touched + IMPORT_IDLE_MS)
    }

    /// Whether there are remains of an import that came to nothing: to be removed by
    /// [`destroy`](Self::destroy).
    #[must_use]
    pub fn has_remains(&self, now: u64) -> bool {
        self.has_mark && !self.is_importing(now)
    }

    /// When the import that is under way counts as given up, unless more of it comes; at once where
    /// that is so already.
    pub(in crate::authority) fn import_due(&self) -> Option<u64> {
        let idle = self.import.as_ref().map(|import| import.touched + IMPORT_IDLE_MS);
        self.has_mark.then(|| idle.unwrap_or(0))
    }

    /// Takes in one fact. After a flaw the import cannot be finished.
    ///
    /// # Errors
    /// Outside, when storage fails; inside, what is wrong with it.
    pub fn import(
        &mut self,
        id: ImportId,
        fact: Fact,
        now: u64,
    ) -> Result<Result<(), Flaw>, Trouble<S::Error>> {
        let Some(mut import) = self.take_import(id) else { return Ok(Err(Flaw::Gone)) };
        import.touched = now;
        let taken = match fact {
            Fact::Row(row) => self.import_row(&mut import, row)?,
            Fact::Pool(pool) => self.import_pool(&mut import, pool),
            Fact::Item { pool, ident, item } => {
                self.import_item(&mut import, &pool, &ident, &item)?
            }
            Fact::Entry(replica, entry) => self.import_entry(&mut import, replica, entry, now)?,
        };
        self.import = Some(import);
        Ok(taken)
    }

    /// Keeps an import alive of which something came that is no fact, of so many bytes.
    ///
    /// # Errors
    /// [`Flaw::Gone`] where the import that is under way is not this one, [`Flaw::Full`] where that is too much.
    pub fn touch_import(&mut self, id: ImportId, bytes: usize, now: u64) -> Result<(), Flaw> {
        let Some(mut import) = self.take_import(id) else { return Err(Flaw::Gone) };
        import.touched = now;
        import.keeps(bytes);
        let room = self.check_room(&import);
        self.import = Some(import);
        room
    }

    fn take_import(&mut self, id: ImportId) -> Option<Box<Import>> {
        self.import.take_if(|import| import.meta.epoch == id.0)
    }

    /// Ends an import that came to nothing, and leaves nothing behind. Of another one it does nothing.
    ///
    /// # Errors
    /// When storage fails.
    pub fn abort_import(&mut self, id: ImportId) -> Result<(), Trouble<S::Error>> {
        let is_other = self.import.as_ref().is_some_and(|import| import.meta.epoch != id.0);
        if is_other || !self.has_mark { Ok(()) } else { self.destroy() }
    }

    fn import_row(
        &mut self,
        import: &mut Import,
        row: Row,
    ) -> Result<Result<(), Flaw>, Trouble<S::Error>> {
        let (collection, key) = (&*row.collection, &*row.key);
        let only_if = crate::mutation::Condition::None;
        let op = match &row.data {
            Some(data) => Op::Set { collection, key, data, only_if },
            None => Op::Delete { collection, key, only_if },
        };
        if let Err(malformed) = op.check(&import.meta.info.primary) {
            return Ok(Err(malformed.into()));
        }
        if row.seq == Seq::ZERO || !row.seq.is_sane() {
            return Ok(Err(Flaw::Range));
        }
        let place = (row.seq, row.collection.clone(), row.key.clone());
        if place <= import.last {
            return Ok(Err(Flaw::Order));
        }
        let before = self.storage.row(collection, key)?;
        count(&mut import.meta.totals, before.as_ref(), &row);
        if row.data.is_none() {
            import.keeps(row.size());
        }
        self.storage.put_row((&row).into())?;
        import.last = place;
        Ok(self.check_room(import))
    }

    fn check_room(&self, import: &Import) -> Result<(), Flaw> {
        let totals = &import.meta.totals;
        let is_full = totals.records + totals.items > self.settings.records_max
            || totals.bytes + totals.item_bytes > self.settings.bytes_max
            || import.rest > self.settings.bytes_max.saturating_add(IMPORT_REST_BYTES);
        if is_full { Err(Flaw::Full) } else { Ok(()) }
    }

    fn import_pool(&mut self, import: &mut Import, fact: PoolFact) -> Result<(), Flaw> {
        pool::check_name(&fact.name).map_err(Malformed::Name)?;
        let fits = |name: &str| (1..=crate::limits::NAME_BYTES_MAX).contains(&name.len());
        if fact.terms.primary.as_deref().is_some_and(|name| !fits(name))
            || !fact.head.is_sane()
            || fact.drained > fact.head
        {
            return Err(Flaw::Range);
        }
        let Some((pool, told, last)) = import.pools.get_mut(&fact.name) else {
            if import.meta.totals.pools >= POOLS_MAX {
                return Err(Flaw::Full);
            }
            import.meta.totals.pools += 1;
            let (terms, drained) = (fact.terms.clone(), fact.drained);
            let pool = Pool { terms, drained, ..Pool::default() };
            import.pools.insert(fact.name.clone(), (pool, fact, Seq::ZERO));
            return Ok(());
        };
        if fact.terms != told.terms || fact.drained < told.drained || fact.head < told.head {
            return Err(Flaw::Order);
        }
        if fact.drained > told.drained {
            // A drain takes all that was there.
            if *last > fact.drained {
                return Err(Flaw::Order);
            }
            let totals = &mut import.meta.totals;
            totals.items -= pool.items;
            totals.item_bytes -= pool.bytes;
            (pool.items, pool.bytes, pool.digest) = (0, 0, Digest::EMPTY);
            pool.drained = fact.drained;
        }
        *told = fact;
        Ok(())
    }

    fn import_item(
        &mut self,
        import: &mut Import,
        name: &str,
        ident: &str,
        item: &Item,
    ) -> Result<Result<(), Flaw>, Trouble<S::Error>> {
        let Some((pool, told, last)) = import.pools.get_mut(name) else {
            return Ok(Err(Flaw::Order));
        };
        if item.seq <= *last || item.seq > told.head {
            return Ok(Err(Flaw::Order));
        }
        if let Err(flaw) = check_item(pool, name, ident, item) {
            return Ok(Err(flaw));
        }
        let known = self.storage.item(name, ident)?;
        let totals = &mut import.meta.totals;
        if let Some(known) = known.filter(|known| known.seq > pool.drained) {
            let size = pool::size(ident, &known);
            pool.digest.remove(known.hash);
            (pool.items, pool.bytes) = (pool.items - 1, pool.bytes - size);
            (totals.items, totals.item_bytes) = (totals.items - 1, totals.item_bytes - size);
        }
        if item.seq > pool.drained {
            let size = pool::size(ident, item);
            pool.digest.add(item.hash);
            (pool.items, pool.bytes) = (pool.items + 1, pool.bytes + size);
            (totals.items, totals.item_bytes) = (totals.items + 1, totals.item_bytes + size);
        }
        *last = item.seq;
        if item.data.is_none() {
            import.keeps(ident.len());
        }
        self.storage.put_item(name, ident, item)?;
        Ok(self.check_room(import))
    }

    fn import_entry(
        &mut self,
        import: &mut Import,
        replica: ReplicaId,
        mut entry: Entry,
        now: u64,
    ) -> Result<Result<(), Flaw>, Trouble<S::Error>> {
        let is_sane = entry.unacked() <= UNACKED_MAX && entry.settled().0 <= INTEGER_MAX;
        let is_bent = |(_, outcome): (Turn, Outcome)| match outcome {
            Outcome::Accepted(seq) | Outcome::Added(seq) => seq == Seq::ZERO || !seq.is_sane(),
            Outcome::Unchanged | Outcome::Refused(_) => false,
        };
        if !is_sane || entry.outcomes().any(is_bent) {
            return Ok(Err(Flaw::Range));
        }
        let newest = entry.outcomes().filter_map(|(_, outcome)| outcome.seq()).max();
        import.newest = import.newest.max(newest.unwrap_or(Seq::ZERO));
        entry.at = entry.at.min(now);
        let bytes = wire::encode_stored(&entry);
        import.keeps(bytes.len());
        self.storage.put_entry(&replica, entry.at, &bytes)?;
        Ok(self.check_room(import))
    }

    /// Ends an import: from here on there is a datastore, if all that came adds up.
    ///
    /// # Errors
    /// Outside, when storage fails; inside, what is wrong.
    pub fn finish_import(
        &mut self,
        id: ImportId,
        closing: &Closing,
    ) -> Result<Result<(), Flaw>, Trouble<S::Error>> {
        let Some(import) = self.take_import(id) else { return Ok(Err(Flaw::Gone)) };
        let Import { mut meta, last, pools, newest, .. } = *import;
        meta.head = closing.head;
        meta.horizon = closing.horizon;
        let reaches = last.0.max(newest).max(closing.horizon);
        if Closing::of(&meta) != *closing || reaches > closing.head || !closing.head.is_sane() {
            return Ok(Err(Flaw::Digest));
        }
        let mut draining = Vec::new();
        for (name, (mut pool, told, _)) in pools {
            if pool.digest != told.digest {
                return Ok(Err(Flaw::Digest));
            }
            pool.head = told.head;
            if pool.drained > Seq::ZERO {
                draining.push(name.clone());
            }
            self.storage.put_pool(&name, &wire::encode_stored(&pool))?;
        }
        meta.draining = draining;
        self.meta = Some(meta);
        self.meta_is_dirty = true;
        self.has_mark = false;
        Ok(Ok(()))
    }
}

/// Whether an item is what a pool can hold under this identity.
fn check_item(pool: &Pool, name: &str, ident: &str, item: &Item) -> Result<(), Flaw> {
    crate::id::check_key(ident).map_err(Malformed::Key)?;
    let Some(data) = &item.data else {
        // What is gone is gone because it was drained.
        return if item.seq <= pool.drained { Ok(()) } else { Err(Flaw::Order) };
    };
    if data.len() > crate::limits::RECORD_BYTES_MAX {
        return Err(Malformed::RecordSize.into());
    }
    let primary = pool.terms.primary.as_deref();
    let raw = check_value(data, primary).map_err(Malformed::Data)?;
    let is_sound = canonical(data).as_deref() == Ok(data)
        && pool::ident(data, raw) == *ident
        && pool::hash(name, ident, data) == item.hash;
    if is_sound { Ok(()) } else { Err(Flaw::Order) }
}
