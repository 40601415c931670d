//! Merge pools: what apps add, a pool as simple as can be, and what members then show.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use neap_core::{
    id::{Seq, Turn},
    pool::{self, Choice, Retain},
    record::Digest,
    storage::Storage,
    value::check_value,
    wire,
};

use super::{
    Check,
    disk::Entry,
    fail,
    naive::Id,
    random::Random,
    relay::Input,
    world::{World, trace},
};

pub(crate) const POOLS: [&str; 2] = ["~p", "~q"];
const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// What everybody asks of a pool in this seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    by_id: bool,
    drains: bool,
}

impl Terms {
    pub(crate) fn any(random: &mut Random) -> Terms {
        Terms { by_id: random.once_in(2), drains: random.once_in(2) }
    }

    pub(crate) fn choice(self) -> Choice<'static> {
        let retain = if self.drains { Retain::Converged } else { Retain::Ttl };
        Choice { primary: self.by_id.then_some("id"), retain: Some(retain) }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) ident: String,
    pub(crate) data: String,
}

impl Item {
    fn any(random: &mut Random, terms: Terms) -> Item {
        let (name, version) = (random.pick(&NAMES), random.below(3));
        let data = if terms.by_id {
            format!(r#"{{"id":"{name}","v":{version}}}"#)
        } else {
            format!(r#"{{"n":"{name}"}}"#)
        };
        let primary = terms.choice().primary;
        let raw = check_value(&data, primary).ok().flatten();
        Item { ident: pool::ident(&data, raw), data }
    }
}

/// An item as it is told: identity, seq and data.
pub(crate) type Told = (String, u64, String);

/// Items that are added in one mutation.
#[derive(Clone, Debug)]
pub(crate) struct Addition {
    pub(crate) pool: usize,
    pub(crate) items: Rc<Vec<Item>>,
}

/// A pool as it must be.
#[derive(Clone, Debug, Default)]
pub(crate) struct NaivePool {
    /// What took a seq, in order.
    log: Vec<Item>,
    pub(crate) drained: u64,
}

impl NaivePool {
    pub(crate) fn head(&self) -> u64 {
        self.log.len() as u64
    }

    /// What it holds at a seq: by identity, the seq and the data.
    fn at(&self, head: u64) -> BTreeMap<&str, (u64, &str)> {
        let taken = self.log.iter().zip(1..=head);
        taken.map(|(item, seq)| (&*item.ident, (seq, &*item.data))).collect()
    }

    /// Adds items; tells how many identities took a seq.
    pub(crate) fn add(&mut self, items: &[Item]) -> u64 {
        let before = self.log.len();
        for item in items {
            let known = self.log.iter().rev().find(|known| known.ident == item.ident);
            if known.is_none_or(|known| known.data != item.data) {
                self.log.push(item.clone());
            }
        }
        let fresh: BTreeSet<&str> = self.log.iter().skip(before).map(|item| &*item.ident).collect();
        fresh.len() as u64
    }

    fn replaces(&self, items: &[Item]) -> bool {
        let differs = |known: &Item| {
            items.iter().any(|item| item.ident == known.ident && item.data != known.data)
        };
        self.log.iter().any(differs)
    }

    fn digest(&self, name: &str, head: u64, drained: u64) -> Digest {
        let mut digest = Digest::EMPTY;
        for (ident, (seq, data)) in self.at(head) {
            if seq > drained {
                digest.add(pool::hash(name, ident, data));
            }
        }
        digest
    }

    /// Whether rows are all items that took a seq after `from` up to `to`, as they were at `head`.
    pub(crate) fn is_between(&self, from: u64, to: u64, head: u64, rows: &[Told]) -> bool {
        let wanted = self.at(head);
        let wanted = wanted.iter().filter(|(_, (seq, _))| *seq > from && *seq <= to);
        let wanted: BTreeSet<(&str, u64, &str)> =
            wanted.map(|(ident, (seq, data))| (*ident, *seq, *data)).collect();
        rows.len() == wanted.len()
            && rows.iter().all(|(ident, seq, data)| wanted.contains(&(&**ident, *seq, &**data)))
    }

    /// Whether rows are a page, made at a moment that is over by now.
    pub(crate) fn is_page(&self, from: u64, to: u64, rows: &[Told]) -> bool {
        let drained = from.max(self.drained);
        (to..=self.head()).rev().any(|head| {
            self.is_between(drained, to, head, rows) || self.is_between(from, to, head, rows)
        })
    }

    pub(crate) fn check_digest(&self, name: &str, told: (u64, u64, Digest)) -> Check {
        let (head, drained, digest) = told;
        if head > self.head() || drained > head || self.digest(name, head, drained) != digest {
            return fail("PO5", format!("another digest of {name} at {head} was told"));
        }
        Ok(())
    }
}

impl World {
    /// An app adds items to a pool.
    pub(crate) fn add(&mut self, place: usize) -> Check {
        let pool = self.random.below(POOLS.len());
        let client = &self.clients[place];
        if !client.opens[pool] || client.retired || client.frozen.is_some() {
            return Ok(());
        }
        let items = self.any_items(pool);
        let shown = |item: &&Item| {
            let replica = &self.clients[place].replica;
            replica.get(POOLS[pool], &item.ident) == Some(&item.data)
                && !self.is_a_siblings(place, pool, &item.ident)
        };
        let fresh: Vec<Item> = items.iter().filter(|item| !shown(item)).cloned().collect();
        let texts: Vec<&str> = items.iter().map(|item| &*item.data).collect();
        let replica = &mut self.clients[place].replica;
        let before = replica.minted();
        if let Err(malformed) = replica.add(POOLS[pool], &format!("[{}]", texts.join(","))) {
            return fail("PO8", format!("a sound item was not taken: {malformed:?}"));
        }
        if fresh.is_empty() != (replica.minted() == before) {
            return fail("PO2", format!("of {items:?} {fresh:?} are to be added"));
        }
        if fresh.is_empty() {
            self.see("known items passed over");
            return self.drain(place);
        }
        trace!(self, "replica {place}: adds {fresh:?} to {}", POOLS[pool]);
        self.see("added to a pool");
        if self.clients[place].connection.is_none() {
            self.see("added offline");
        }
        let id = self.oracle.record(Vec::new());
        self.oracle.mutations[id].adds = Some(Addition { pool, items: Rc::new(fresh) });
        self.note_pending(place, before.next(), id)?;
        self.drain(place)
    }

    fn any_items(&mut self, pool: usize) -> Vec<Item> {
        let terms = self.terms[pool];
        (0..=self.random.below(3)).map(|_| Item::any(&mut self.random, terms)).collect()
    }

    fn note_pending(&mut self, place: usize, turn: Turn, id: Id) -> Check {
        let entry = self.clients[place].entry_of(id, Rc::new(Vec::new()));
        self.clients[place].pending.push_back(entry);
        self.name_pending(place, turn, id)
    }

    /// Somebody adds over HTTP.
    pub(crate) fn request_addition(&mut self) {
        let pool = self.random.below(POOLS.len());
        let items = Rc::new(self.any_items(pool));
        self.relay.queue.push(Input::Merge(Addition { pool, items }));
    }

    /// The idents that an addition brings, with their pool.
    pub(crate) fn added_by(&self, entry: &Entry) -> Option<&Addition> {
        self.oracle.mutations[entry.id].adds.as_ref()
    }

    /// What a member sees does not vanish, and what it has added itself shows at once.
    pub(crate) fn check_pools(&mut self, place: usize) -> Check {
        if !self.lanes.pools {
            return Ok(());
        }
        let client = &self.clients[place];
        for entry in &client.pending {
            let Some(Addition { pool, items }) = self.added_by(entry) else { continue };
            let hidden =
                items.iter().find(|item| client.replica.get(POOLS[*pool], &item.ident).is_none());
            if let Some(item) = hidden {
                return fail("PO5", format!("{item:?} is pending and does not show"));
            }
        }
        for (pool, name) in POOLS.into_iter().enumerate() {
            let client = &mut self.clients[place];
            let is_held = |key: &str| client.replica.confirmed(name, key).is_some();
            if let Some(gone) = client.seen[pool].iter().find(|ident| !is_held(ident)) {
                return fail("PO5", format!("{gone:?} has vanished from {name}"));
            }
            let keys = client.replica.keys(name);
            let held = keys.into_iter().filter(|key| is_held(key)).map(String::from).collect();
            client.seen[pool] = held;
        }
        Ok(())
    }

    /// Holds what is stored of the pools against what was added.
    pub(super) fn check_stored_pools(&mut self, items: u64) -> Check {
        if !self.lanes.pools {
            return Ok(());
        }
        let memory = self.relay.disk.snapshot();
        let mut left = 0;
        for (place, name) in POOLS.into_iter().enumerate() {
            let drains = self.terms[place].drains;
            let Some(life) = self.oracle.newest() else { return Ok(()) };
            let naive = &mut life.pools[place];
            let Ok(bytes) = memory.pool(name);
            let Some(bytes) = bytes else {
                if naive.head() > 0 {
                    return fail("PO5", format!("{name} is lost"));
                }
                continue;
            };
            let Ok(stored) = wire::decode_stored::<pool::Pool>(&bytes) else {
                return fail("PO5", format!("{name} cannot be read"));
            };
            if stored.head.0 != naive.head() {
                let heads = (stored.head.0, naive.head());
                return fail("PO2", format!("{name} is at {}, must be at {}", heads.0, heads.1));
            }
            let has_moved = stored.drained.0 != naive.drained;
            if has_moved && !(drains && stored.drained == stored.head) {
                return fail("PO6", format!("{name} was drained to {}", stored.drained.0));
            }
            naive.drained = stored.drained.0;
            naive.check_digest(name, (stored.head.0, stored.drained.0, stored.digest))?;
            let mut has_erased = false;
            for (ident, (seq, data)) in naive.at(naive.head()) {
                let Ok(item) = memory.item(name, ident);
                let holds = item.is_some_and(|item| {
                    let is_erased = item.data.is_none() && seq <= naive.drained;
                    has_erased |= is_erased;
                    item.seq == Seq(seq)
                        && item.hash == pool::hash(name, ident, data)
                        && (is_erased || item.data.as_deref() == Some(data))
                });
                if !holds {
                    return fail("PO3", format!("{name} does not know {data} under {seq}"));
                }
                left += u64::from(seq > naive.drained);
            }
            if has_moved {
                self.see("pool drained");
            }
            if has_erased {
                self.see("drained items erased");
            }
        }
        if items != left {
            return fail("AP3", format!("{items} items are counted, there are {left}"));
        }
        Ok(())
    }

    /// What an addition makes of the newest life: how many items took a seq, and the pool's newest one.
    pub(super) fn take_addition(&mut self, addition: &Addition) -> (u64, u64) {
        let Some(life) = self.oracle.newest() else { return (0, 0) };
        let pool = &mut life.pools[addition.pool];
        let replaces = pool.replaces(&addition.items);
        let added = pool.add(&addition.items);
        let head = pool.head();
        if added == 0 {
            self.see("items known to the relay");
        } else if replaces {
            self.see("item replaced");
        }
        (added, head)
    }

    /// Whether every member holds what there is, and knows that all do.
    pub(super) fn pools_are_settled(&self) -> bool {
        if !self.lanes.pools {
            return true;
        }
        let Some(life) = self.oracle.lives.last() else { return false };
        (0..POOLS.len()).all(|pool| {
            let is_member = |client: &&super::client::Client| client.opens[pool];
            let members: Vec<_> = self.present().filter(is_member).collect();
            members.iter().all(|client| {
                client.replica.pool_state(POOLS[pool]).is_some_and(|state| {
                    state.seq.0 == life.pools[pool].head() && (state.converged || members.len() < 2)
                })
            })
        })
    }

    /// In the end all members are equal.
    pub(super) fn check_settled_pools(&self) -> Check {
        let Some(life) = self.oracle.lives.last().filter(|_| self.lanes.pools) else {
            return Ok(());
        };
        for (pool, name) in POOLS.into_iter().enumerate() {
            let naive = &life.pools[pool];
            let digest = naive.digest(name, naive.head(), naive.drained);
            for client in self.present().filter(|client| client.opens[pool]) {
                let state = client.replica.pool_state(name);
                if state.is_none_or(|state| state.digest != digest) {
                    return fail("LI2", format!("digests of {name} differ in the end"));
                }
                let lacks = naive.at(naive.head()).into_iter().find(|(ident, (seq, data))| {
                    *seq > naive.drained && client.replica.get(name, ident) != Some(data)
                });
                if let Some(lost) = lacks {
                    return fail("PO5", format!("a member of {name} lacks {lost:?}"));
                }
                if naive.drained == 0
                    && client.replica.keys(name).len() != naive.at(naive.head()).len()
                {
                    return fail("PO5", format!("a member of {name} has more than there is"));
                }
            }
        }
        Ok(())
    }
}
