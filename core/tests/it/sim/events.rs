//! What a replica tells its app.

use std::collections::BTreeSet;

use neap_core::{
    id::ReplicaId,
    mutation::Outcome,
    replica::{Event, ResetReason, Watch},
};

use super::{
    Check,
    client::Wanted,
    fail,
    oracle::place_of,
    world::{World, trace},
};

impl World {
    pub(super) fn take_changes(&mut self, place: usize) -> Check {
        let client = &mut self.clients[place];
        let mut seen = BTreeSet::new();
        while let Some((_, change)) = client.replica.take_changes() {
            let Some(at) = place_of(&change.collection, &change.key) else {
                return fail("CH1", format!("a change of {}", change.key));
            };
            if !client.watched[at.0] || change.before == change.after || !seen.insert(at) {
                return fail("CH1", format!("a needless change: {change:?}"));
            }
            let before = client.mirror.get(&at).map(String::as_str);
            if change.watch == Watch::Records && before != change.before.as_deref() {
                return fail("CH1", format!("{change:?}, but it was {before:?}"));
            }
            match client.replica.get(&change.collection, &change.key) {
                Some(data) => drop(client.mirror.insert(at, data.into())),
                None => drop(client.mirror.remove(&at)),
            }
            if change.watch == Watch::Records
                && client.mirror.get(&at).map(String::as_str) != change.after.as_deref()
            {
                return fail("CH1", format!("{change:?} is not what is shown"));
            }
        }
        Ok(())
    }

    pub(super) fn take_events(&mut self, place: usize) -> Result<Wanted, super::Violation> {
        let mut wanted = Wanted::default();
        let mut overtaken = None;
        while let Some(event) = self.clients[place].replica.take_events() {
            trace!(self, "replica {place}: {event:?}");
            match event {
                Event::Overtaken(turn) => overtaken = Some(turn),
                Event::Accepted { turn, seq } => {
                    self.stands(place, seq, overtaken == Some(turn))?;
                    let outcome = seq.map_or(Outcome::Unchanged, Outcome::Accepted);
                    self.told(place, turn, outcome)?;
                    wanted.account = true;
                }
                Event::Refused { turn, refusal, .. } => {
                    self.stands(place, None, false)?;
                    self.told(place, turn, Outcome::Refused(refusal))?;
                    wanted.account = true;
                }
                Event::Welcome => {
                    let client = &mut self.clients[place];
                    client.welcomed = client.welcomed.or(client.replica.epoch());
                    wanted.info = true;
                }
                Event::Turned => {}
                Event::Unseen => self.see("added what nothing was told of"),
                Event::Live => {
                    let client = &mut self.clients[place];
                    (client.records, client.welcomed) = (client.replica.epoch(), None);
                    client.has_amnesia = false;
                    client.disk.image.is_torn = false;
                }
                Event::Reset(ResetReason::History) => self.see("history too short"),
                Event::Reset(ResetReason::Epoch) => {
                    self.clients[place].seen = Default::default();
                }
                Event::Renumbered => {
                    self.see("renumbered");
                    self.renumber(place)?;
                    wanted.outbox = true;
                }
                Event::Expired if self.random.once_in(8) => {
                    self.see("opened anew");
                    self.clients[place].replica.open_anew();
                }
                Event::Expired | Event::Pool(_) | Event::Mismatch(_) | Event::Presence(_) => {}
                Event::Stopped("superseded") if self.lanes.forsakes => {}
                Event::Stopped(code) => {
                    if code != "superseded" {
                        return fail("SE2", format!("stopped: {code}"));
                    }
                }
                Event::Trouble(code) => return fail("DI4", format!("trouble: {code}")),
            }
        }
        Ok(wanted)
    }

    /// What is pending has other names now.
    fn renumber(&mut self, place: usize) -> Check {
        let spare = ReplicaId(self.random.bytes());
        let client = &mut self.clients[place];
        if client.id != client.replica.id() {
            client.ceiling = None;
        }
        client.id = client.replica.id();
        if client.id == client.spare {
            client.spare = spare;
            client.replica.set_spare(spare);
        }
        let mut turn = client.replica.settled();
        for entry in &client.pending {
            turn = turn.next();
            self.oracle.name(client.id, turn, entry.id, client.replica.epoch())?;
        }
        Ok(())
    }
}
