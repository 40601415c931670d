//! Who is a member of a pool, as the relay has heard it, and what members are told.

use neap_core::{
    authority::SessionId,
    limits::SILENCE_MS,
    wire::{self, Changes, Down, Page, PoolAsk, PoolDown, PoolNews, Up},
};

use super::{
    Check, fail,
    pools::{POOLS, Told},
    relay::Input,
    world::{Connection, World},
};

/// What a connection has said and heard of a pool.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Member {
    is_member: bool,
    acked: Option<u64>,
    /// When it last said something new, in milliseconds since 1970.
    heard_at: u64,
    /// Up to where it was told the items.
    told: Option<u64>,
    /// What it had acknowledged when it left, in the group that was committed last: before that it may have agreed.
    left: Option<u64>,
    /// The same where it has opened the pool anew, of which a relay that died may know nothing.
    before: Option<u64>,
}

impl World {
    /// Takes note of what members have said in a group that was committed.
    pub(super) fn note_members(&mut self, inputs: &[Input]) {
        for member in self.connections.iter_mut().flat_map(|connection| &mut connection.pools) {
            member.left = None;
        }
        for input in inputs {
            if let Input::Gone(session) = input {
                for member in &mut self.connections[*session as usize].pools {
                    *member = Member { left: member.acked, ..Member::default() };
                }
            }
            let Input::Frame(session, frame) = input else { continue };
            let Ok(Up::Pool(said)) = wire::decode_up(frame) else { continue };
            let Some(pool) = POOLS.iter().position(|name| *name == said.pool) else { continue };
            let member = &mut self.connections[*session as usize].pools[pool];
            let now = self.now;
            match said.ask {
                PoolAsk::Open { .. } => {
                    let before = member.acked.or(member.before);
                    *member =
                        Member { is_member: true, heard_at: now, before, ..Member::default() };
                }
                PoolAsk::Next(_) => member.heard_at = now,
                PoolAsk::Ack(seq) if member.acked.is_none_or(|acked| acked < seq.0) => {
                    (member.acked, member.heard_at) = (Some(seq.0), now);
                }
                PoolAsk::Ack(_) => {}
                PoolAsk::Leave => *member = Member { left: member.acked, ..Member::default() },
            }
        }
    }

    /// What is told of a pool is so, and nobody is told anything twice.
    pub(super) fn check_pool_news(
        &mut self,
        down: &PoolDown,
        changes: &Changes<'_>,
        to_whom: &[SessionId],
    ) -> Check {
        let Some(place) = POOLS.iter().position(|name| *name == &*down.pool) else {
            return fail("PO7", format!("told of {}, which nobody has opened", down.pool));
        };
        let name = POOLS[place];
        let rows: Vec<Told> = changes
            .rows()
            .flatten()
            .map(|row| (row.key.into(), row.seq.0, row.data.unwrap_or("").into()))
            .collect();
        let Some(life) = self.oracle.lives.last() else { return Ok(()) };
        let naive = &life.pools[place];
        match &down.news {
            PoolNews::Page { from, to, last } => {
                if !naive.is_page(from.0, to.0, &rows) {
                    return fail("PO5", format!("a page of {name} is {rows:?}"));
                }
                if let Some(last) = last {
                    naive.check_digest(name, (to.0, last.drained.0, last.digest))?;
                }
                for session in to_whom {
                    let connection = &mut self.connections[*session as usize];
                    let told = Some(to.0).filter(|_| !connection.is_behind);
                    connection.pools[place].told = told;
                }
                Ok(())
            }
            PoolNews::Delta { from, to, drained, digest } => {
                if from == to && rows.is_empty() {
                    naive.check_digest(name, (to.0, drained.0, *digest))?;
                    return self.check_alone(place, to.0, to_whom);
                }
                if from >= to || !naive.is_between(from.0, to.0, to.0, &rows) {
                    return fail("PO2", format!("{rows:?} were told of {name} from {}", from.0));
                }
                naive.check_digest(name, (to.0, drained.0, *digest))?;
                for session in to_whom {
                    let connection = &mut self.connections[*session as usize];
                    let told = connection.pools[place].told.replace(to.0);
                    if told.is_some_and(|told| told != from.0) && !connection.tainted {
                        return fail("PO2", format!("{name} was told to {told:?}, then {from:?}"));
                    }
                }
                Ok(())
            }
            PoolNews::Converged { seq, .. } => self.check_converged(place, seq.0),
            PoolNews::Mismatch => fail("PO7", "all have asked for the same".into()),
        }
    }

    /// Who is left behind, or has more to catch up with than a page, opens its pools anew; what it hears before that says
    /// nothing to it.
    pub(super) fn note_page(&mut self, down: &Down, session: SessionId) {
        let connection = &mut self.connections[session as usize];
        match down {
            Down::Behind | Down::Page(Page { last: None, .. }) => {
                connection.is_behind = true;
                connection.pools.iter_mut().for_each(|pool| pool.told = None);
            }
            Down::Page(Page { last: Some(_), .. }) => connection.is_behind = false,
            _ => {}
        }
    }

    /// A delta of nothing goes to nobody but who has nobody left to agree with.
    fn check_alone(&mut self, place: usize, seq: u64, to_whom: &[SessionId]) -> Check {
        let agree = |connection: &&Connection| {
            connection.open && !connection.tainted && connection.pools[place].acked == Some(seq)
        };
        let agreed = self.connections.iter().filter(agree).count();
        if agreed > 1 || to_whom.len() != 1 {
            return fail(
                "PO4",
                format!("{agreed} agree, and {to_whom:?} were told that none does"),
            );
        }
        self.see("left alone in a pool");
        Ok(())
    }

    /// All members that count have acknowledged everything.
    fn check_converged(&mut self, place: usize, seq: u64) -> Check {
        let mut agreed = 0;
        let mut has_silent = false;
        for connection in &self.connections {
            let Member { is_member, acked, heard_at, left, before, .. } = connection.pools[place];
            // Who is gone may have agreed before the relay heard of that.
            let has_agreed = acked == Some(seq) || left == Some(seq);
            if has_agreed || connection.tainted && before == Some(seq) {
                agreed += 1;
            } else if connection.open && is_member && !connection.tainted {
                has_silent = true;
                if self.now < heard_at + SILENCE_MS {
                    return fail("PO4", format!("{} has converged without one", POOLS[place]));
                }
            }
        }
        let head = self.oracle.lives.last().map(|life| life.pools[place].head());
        if agreed < 2 || head != Some(seq) {
            return fail("PO4", format!("{agreed} agreed on {seq} of {head:?}"));
        }
        self.see("pool converged");
        if has_silent {
            self.see("silent member passed over");
        }
        Ok(())
    }
}
