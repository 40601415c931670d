//! What an app knows of the records before and after its own mutations, which it may want to take back.

use std::collections::BTreeMap;

use neap_core::{
    id::{Seq, Turn},
    replica::Change,
};

use super::{
    Check,
    disk::Entry,
    fail,
    naive::{Id, Place, State, resolve},
    oracle::place_of,
    world::World,
};

/// The records under the keys of a mutation, before it and after it.
pub(crate) type Ground = BTreeMap<Place, [Option<String>; 2]>;

fn text(state: &State, place: &Place) -> Option<String> {
    state.get(place).map(|record| record.text.clone())
}

impl World {
    /// The app has made a mutation over this view.
    pub(crate) fn stands_on(&mut self, place: usize, view: &State, entry: &Entry) {
        let client = &mut self.clients[place];
        let draft = resolve(view, entry.id, &entry.ops, client.replica.epoch());
        let after = if draft.refusal.is_some() { view } else { &draft.now };
        let sides = |at: &Place| (*at, [text(view, at), text(after, at)]);
        let ground = entry.ops.iter().map(|op| sides(&op.place)).collect();
        client.grounds.insert(entry.id, Some(ground));
    }

    /// Others have come in between.
    pub(crate) fn ground_moved(
        &mut self,
        place: usize,
        turn: Turn,
        change: Option<Change>,
    ) -> Check {
        let client = &mut self.clients[place];
        let at = usize::try_from(turn.0 - client.told.0 - 1).unwrap_or(usize::MAX);
        let Some(id) = client.pending.get(at).map(|entry| entry.id) else {
            return fail("RE13", format!("nobody has made turn {}", turn.0));
        };
        // What comes from a disk the app has not made here.
        let Some(known) = client.grounds.get_mut(&id) else { return Ok(()) };
        match (change, known) {
            (None, known) => *known = None,
            (Some(change), Some(ground)) => {
                let at = place_of(&change.collection, &change.key);
                let Some(sides) = at.and_then(|at| ground.get_mut(&at)) else {
                    return fail("RE13", format!("a key that it does not speak of: {change:?}"));
                };
                *sides = [change.before, change.after].map(|data| data.map(Into::into));
                self.report.sights.see("ground moved");
            }
            (Some(_), None) => {}
        }
        Ok(())
    }

    /// A mutation is where it will stay: what the app knows of it must be so, or it must know that nobody knows.
    pub(crate) fn stands(&mut self, place: usize, id: Id, seq: Option<Seq>) -> Check {
        let client = &mut self.clients[place];
        let known = client.grounds.remove(&id);
        let (Some(known), Some(Seq(seq)), Some(epoch)) = (known, seq, client.replica.epoch())
        else {
            return Ok(());
        };
        let Some(ground) = known else {
            self.report.sights.see("ground lost");
            return Ok(());
        };
        let Some(life) = self.oracle.life(epoch) else { return Ok(()) };
        let at = usize::try_from(seq).unwrap_or(usize::MAX);
        let sides = [at.wrapping_sub(1), at].map(|at| life.states.get(at));
        let [Some(before), Some(after)] = sides else { return Ok(()) };
        for (at, known) in &ground {
            let really = [text(before, at), text(after, at)];
            if *known != really {
                return fail(
                    "RE13",
                    format!("mutation {id} stands on {really:?}, and the app knows {known:?}"),
                );
            }
        }
        Ok(())
    }
}
