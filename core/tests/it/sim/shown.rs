//! What replicas show, checked after every step.

use std::collections::BTreeSet;

use neap_core::{id::Seq, mutation::Outcome, replica::Phase};

use super::{
    Check, fail,
    naive::{COLLECTIONS, KEYS, Place},
    oracle::{digest_of, names_of},
    world::World,
};

impl World {
    /// A replica shows what it must.
    pub(crate) fn check_client(&mut self, place: usize) -> Check {
        let client = &self.clients[place];
        if client.retired {
            return Ok(());
        }
        let replica = &client.replica;
        let confirmed = self.confirmed_of(place)?;
        let (view, _) = self.view_of(place, confirmed);
        let mut sizes = [0; COLLECTIONS.len()];
        for collection in 0..COLLECTIONS.len() {
            for key in 0..KEYS.len() {
                let place: Place = (collection, key);
                let (name, text) = names_of(place);
                let wanted = confirmed.get(&place);
                let wanted = wanted.map(|record| (Seq(record.seq.unwrap_or(0)), &*record.text));
                let held = replica.confirmed(name, text);
                if held != wanted {
                    return fail("RE1", format!("{name}/{text} is {held:?}, must be {wanted:?}"));
                }
                let wanted = view.get(&place).map(|record| &*record.text);
                let shown = replica.get(name, text);
                if shown != wanted {
                    return fail("RE2", format!("{name}/{text} shows {shown:?}, not {wanted:?}"));
                }
                let meta = replica.meta(name, text);
                let speaks =
                    |entry: &super::disk::Entry| entry.ops.iter().any(|op| op.place == place);
                let pending = client.shows().into_iter().any(speaks);
                if meta.seq != held.map(|held| held.0) || meta.pending != pending {
                    return fail("RE3", format!("{name}/{text} has {meta:?}"));
                }
                sizes[collection] += usize::from(shown.is_some());
            }
        }
        for (collection, size) in sizes.into_iter().enumerate() {
            let name = COLLECTIONS[collection];
            let keys = replica.keys(name);
            let wanted = view.keys().filter(|place| place.0 == collection);
            let wanted: Vec<&str> = wanted.map(|place| KEYS[place.1]).collect();
            if replica.size(name) != size || !keys.iter().map(|key| &**key).eq(wanted) {
                return fail("RE4", format!("{name} has {} and {keys:?}", replica.size(name)));
            }
        }
        if replica.digest() != digest_of(confirmed) {
            return fail("DI3", "a replica's digest is not that of its records".into());
        }
        if replica.pending() != client.pending.len() {
            return fail(
                "OU2",
                format!("{} pending, not {}", replica.pending(), client.pending.len()),
            );
        }
        self.check_mirror(place)?;
        self.check_settlement(place)?;
        self.check_pools(place)
    }

    /// The change lists add up to the view.
    fn check_mirror(&self, place: usize) -> Check {
        let client = &self.clients[place];
        for (collection, watched) in client.watched.iter().enumerate() {
            if !watched {
                continue;
            }
            for key in 0..KEYS.len() {
                let (name, text) = names_of((collection, key));
                let mirrored = client.mirror.get(&(collection, key)).map(String::as_str);
                if mirrored != client.replica.get(name, text) {
                    return fail("CH1", format!("changes make {name}/{text} {mirrored:?}"));
                }
            }
        }
        Ok(())
    }

    /// What has had its effect is settled, and the other way round.
    fn check_settlement(&self, place: usize) -> Check {
        let client = &self.clients[place];
        let Some(life) = client.records.and_then(|epoch| self.oracle.life(epoch)) else {
            return Ok(());
        };
        if client.has_amnesia {
            return Ok(());
        }
        let seq = client.replica.seq();
        for entry in &client.pending {
            if let Some(Outcome::Accepted(at)) = life.outcomes.get(&entry.id)
                && *at <= seq
            {
                return fail("RE5", format!("mutation {} is shown twice", entry.id));
            }
        }
        Ok(())
    }

    /// Nothing is under way for a live replica: then it is at the head.
    pub(crate) fn check_news(&self) -> Check {
        if !self.relay.queue.is_empty() || self.relay.authority.is_none() {
            return Ok(());
        }
        let Some(meta) = self.stored_meta() else {
            return Ok(());
        };
        for client in &self.clients {
            let Some(number) = client.connection else {
                continue;
            };
            let connection = &self.connections[number];
            let idle = connection.up.is_empty() && connection.down.is_empty();
            let heard = !connection.tainted && connection.open && idle;
            if heard && client.replica.phase() == Phase::Live && client.replica.seq() != meta.head {
                return fail(
                    "CU1",
                    format!("live at {}, and hears nothing", client.replica.seq().0),
                );
            }
        }
        Ok(())
    }

    pub(crate) fn is_settled(&self) -> bool {
        let head = self.stored_meta().map(|meta| (meta.epoch, meta.head));
        self.pools_are_settled()
            && self.present().all(|client| {
                client.pending.is_empty()
                    && client.replica.phase() == Phase::Live
                    && head == client.replica.epoch().map(|epoch| (epoch, client.replica.seq()))
            })
    }

    /// In the end all are equal.
    pub(crate) fn check_settled(&mut self) -> Check {
        let Some(meta) = self.stored_meta() else {
            return fail("LI1", "there is no datastore".into());
        };
        let digests: BTreeSet<_> = self.present().map(|client| client.replica.digest().0).collect();
        if digests.len() != 1 || !digests.contains(&meta.totals.digest.0) {
            return fail("LI2", "digests differ in the end".into());
        }
        for place in 0..self.clients.len() {
            self.check_client(place)?;
        }
        self.check_settled_tabs()?;
        self.check_settled_pools()
    }

    pub(crate) fn describe(&self) -> String {
        let each = |client: &super::client::Client| {
            let replica = &client.replica;
            let pools = super::pools::POOLS.map(|name| replica.pool_state(name));
            let (phase, pending) = (replica.phase(), replica.pending());
            let theirs: Vec<_> = client.tabs.iter().map(|tab| tab.queue.len()).collect();
            let seq = replica.seq().0;
            format!("{phase:?} {pending} pending at {seq}, {theirs:?} of siblings, {pools:?}")
        };
        let head = self.stored_meta().map(|meta| meta.head.0);
        let clients: Vec<_> = self.clients.iter().map(each).collect();
        format!("head {head:?}, {}", clients.join("; "))
    }
}
