//! One live connection, and its greeting.

use alloc::{boxed::Box, vec::Vec};

use super::{Admission, Authority, Close, Moment, Opened, SessionId, Trouble, pool::Member};
use crate::{
    datastore::{Kind, Meta},
    id::{Epoch, ReplicaId, Seq, Turn},
    limits::{PAGE_BYTES, QUICK_MS, STRIDE_BYTES_MIN, SWEEP_MS},
    mutation::Outcome,
    rate::Bucket,
    storage::Storage,
    stride::stride_after,
    wire::{self, Cursor, Down, Hello, Introduction, Role, Settled, Standing, VERSION, Welcome},
};

/// One live connection: small, and stored beside its socket so that it outlives a sleep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) admission: Admission,
    pub(super) phase: Phase,
    /// The life of the datastore that it has been welcomed to.
    pub(super) epoch: Option<Epoch>,
    /// Replicas that it speaks or listens for.
    pub(super) authors: Vec<Author>,
    /// Pools that it has open.
    pub(super) pools: Vec<Member>,
    /// Bytes of frames that it was sent and has not said to have read.
    pub(super) unread: u64,
    /// What it shows the others, as JSON.
    pub(super) shows: Option<Box<str>>,
    /// Whether it was told of anybody who shows something.
    pub(super) sees: bool,
    /// When it came, in milliseconds since 1970.
    pub(super) since: u64,
    /// How fast it has been lately; full after a sleep.
    pub(super) bucket: Bucket,
    /// The same for frames that mutate nothing: when their bucket is full again, in microseconds since 1970.
    pub(super) others: u64,
    /// The same for bytes that it was given before.
    pub(super) again: u64,
    /// How far pages have led it.
    pub(super) reached: Seq,
    /// Pages that it was sent and has not turned, in their order.
    pub(super) unturned: Vec<Unturned>,
    /// Where the page after these begins; `None` once they reach the head, or nobody hears them out.
    pub(super) next: Option<Cursor>,
    /// How many bytes the next page may have, going by how long the last ones took.
    pub(super) stride: u64,
    /// Whether the last page was turned soon, so that others may travel meanwhile.
    pub(super) is_quick: bool,
}

wire::fields!(Session {
    admission, phase, epoch, authors, pools, unread, shows, sees, since, unturned, next, stride, is_quick;
    bucket, others, again, reached
});

/// A page that is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unturned {
    /// Where it ends: what Next will say.
    pub(super) cursor: Cursor,
    /// Of the session's unread bytes those up to its end.
    pub(super) unread: u64,
    /// When it was sent, in milliseconds since 1970.
    pub(super) at: u64,
}

wire::fields!(Unturned { cursor, unread, at });

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It has not said Hello.
    Greeting,
    /// It asks for pages and hears nothing else.
    CatchingUp,
    /// It is at the head and hears each delta.
    Live,
}

wire::kinds!(Phase { 0 => Greeting, 1 => CatchingUp, 2 => Live });

/// A replica that a connection speaks or listens for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Author {
    pub(super) id: ReplicaId,
    role: Role,
    generation: u64,
    attempt: u64,
    pub(super) birth: Option<u64>,
}

wire::fields!(Author { id, role, generation, attempt, birth });

impl Session {
    /// Learns from how long a page took, to come and to be read, how large the next one may be.
    pub(super) fn travelled(&mut self, ms: u64) {
        self.is_quick = ms < QUICK_MS;
        self.stride = stride_after(self.stride, ms, STRIDE_BYTES_MIN as u64..=PAGE_BYTES as u64);
    }

    /// The replica at a place of Hello's list, if the session speaks for it.
    pub(super) fn author(&self, place: u8) -> Option<&Author> {
        self.authors.get(usize::from(place)).filter(|author| author.role == Role::Speaker)
    }

    /// What of a batch is settled for this session.
    pub(super) fn settled(&self, batch: &[(ReplicaId, Turn, Outcome)]) -> Vec<Settled> {
        let place = |id: &ReplicaId| self.authors.iter().position(|author| author.id == *id);
        let settled = |(id, turn, outcome): &(ReplicaId, Turn, Outcome)| {
            let author = u8::try_from(place(id)?).ok()?;
            Some(Settled { author, turn: *turn, outcome: *outcome })
        };
        batch.iter().filter_map(settled).collect()
    }
}

impl<S: Storage> Authority<S> {
    /// Answers Hello with Welcome and the first page.
    pub(super) fn greet(
        &mut self,
        id: SessionId,
        hello: Hello,
        moment: Moment,
    ) -> Result<(), Trouble<S::Error>> {
        if let Err(why) = self.admit(id, &hello, moment)? {
            self.close(id, why, moment.now);
            return Ok(());
        }
        // What was gathered so far belongs to the sessions that were live before this one.
        self.seal();
        if !self.dispossess(id, &hello.authors, moment.now) {
            return Ok(());
        }
        let mut standings = Vec::with_capacity(hello.authors.len());
        for author in &hello.authors {
            standings.push(self.standing(author, moment.now)?);
        }
        let Some(meta) = &self.meta else {
            return Ok(());
        };
        let cursor = starting_point(&hello, meta);
        let (rates, debt) = self.allowance(id, moment.now);
        let welcome = Welcome {
            version: hello.version.min(VERSION),
            info: meta.info.clone(),
            epoch: meta.epoch,
            head: meta.head,
            standings: standings.clone(),
            now: moment.now,
            rates,
            debt,
        };
        if let Some(session) = self.sessions.get_mut(&id) {
            let births = standings.iter().map(|standing| match standing {
                Standing::New(birth) => Some(*birth),
                Standing::Settled(_) | Standing::Forgotten => None,
            });
            session.epoch = Some(meta.epoch);
            session.authors = hello
                .authors
                .iter()
                .zip(births)
                .map(|(author, birth)| Author {
                    id: author.id,
                    role: author.role,
                    generation: author.generation,
                    attempt: author.attempt,
                    birth: birth.or(author.birth),
                })
                .collect();
        }
        self.greeting.remove(&id);
        let subject = self.subject_of(id);
        let before = self.speakers_of(subject);
        // What it has been welcomed to is remembered before it hears of it.
        self.set_phase(id, Phase::CatchingUp);
        self.send(id, &Down::Welcome(welcome), &[]);
        self.send_pages(id, cursor, moment.now)?;
        self.share_anew(subject, before);
        Ok(())
    }

    /// Opens the datastore for a session, if it may.
    fn admit(
        &mut self,
        id: SessionId,
        hello: &Hello,
        moment: Moment,
    ) -> Result<Result<(), Close>, Trouble<S::Error>> {
        let Some(admission) = self.sessions.get(&id).map(|session| session.admission) else {
            return Ok(Err(Close::BadRequest));
        };
        if hello.version == 0 || hello.options.check(self.settings.ttl_max).is_err() {
            return Ok(Err(Close::BadRequest));
        }
        if !admission.read {
            return Ok(Err(Close::Forbidden));
        }
        if self.alive(moment.now).is_none() {
            if hello.epoch.is_some() {
                return Ok(Err(Close::Expired));
            }
            let is_permanent = hello.options.kind == Some(Kind::Permanent);
            if !(admission.admin || admission.write && !is_permanent) {
                return Ok(Err(Close::Forbidden));
            }
        }
        Ok(match self.open(&hello.options, moment)? {
            Opened::Created | Opened::Found => Ok(()),
            Opened::Mismatch => Err(Close::Options),
            Opened::Importing => Err(Close::Importing),
        })
    }

    /// Of two sessions that speak for one replica the higher generation stays. Within one it is the
    /// later attempt: its owner has connected again before the old connection was seen to be gone, and
    /// the old one's Hello may even arrive last. Tells whether the new session stays.
    fn dispossess(&mut self, id: SessionId, authors: &[Introduction], now: u64) -> bool {
        let speaks = |author: &&Introduction| author.role == Role::Speaker;
        let mut others: Vec<SessionId> = Vec::new();
        for author in authors.iter().filter(speaks) {
            for (other, session) in &self.sessions {
                let rival = session.authors.iter().find(|rival| rival.id == author.id);
                let Some(rival) = rival.filter(|rival| rival.role == Role::Speaker) else {
                    continue;
                };
                let is_older = |generation, attempt| {
                    (author.generation, author.attempt) < (generation, attempt)
                };
                if is_older(rival.generation, rival.attempt) {
                    self.close(id, Close::Superseded, now);
                    return false;
                }
                others.push(*other);
            }
        }
        for other in others {
            self.close(other, Close::Superseded, now);
        }
        true
    }

    /// Tells how the ledger knows a replica, and lets it forget what the replica has acknowledged. Whoever
    /// comes back in time is remembered from now on, also without having pushed anything.
    fn standing(&mut self, author: &Introduction, now: u64) -> Result<Standing, Trouble<S::Error>> {
        let floor = self.meta.as_ref().map_or(0, |meta| meta.ledger_floor);
        let is_recent = |at: u64| at <= now && now - at < SWEEP_MS;
        let Some(entry) = self.ledger.find(&self.storage, &author.id)? else {
            return Ok(match author.birth {
                Some(birth) if birth < floor => Standing::Forgotten,
                // Nothing of its was ever applied: it may as well be born now.
                birth => Standing::New(birth.filter(|birth| is_recent(*birth)).unwrap_or(now)),
            });
        };
        let (settled, is_old) = (entry.settled(), !is_recent(entry.at));
        if author.role == Role::Speaker && (is_old || entry.has_news_of(author.acked)) {
            let entry = self.ledger.of(&self.storage, &author.id)?;
            entry.ack(author.acked);
            entry.at = now;
        }
        Ok(Standing::Settled(settled))
    }

    /// Lets a session hear nothing more until it asks.
    pub(super) fn set_behind(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.next = None;
        }
        self.set_phase(id, Phase::CatchingUp);
    }

    pub(super) fn set_phase(&mut self, id: SessionId, phase: Phase) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let before = core::mem::replace(&mut session.phase, phase);
        let session = session.clone();
        self.remember(id, &session);
        if phase == Phase::Live && before != phase {
            self.presence.join(id);
        }
    }
}

/// Where a replica goes on: at its own cursor if the history still reaches that far back, else at
/// the beginning.
fn starting_point(hello: &Hello, meta: &Meta) -> Cursor {
    let known = hello.epoch == Some(meta.epoch) && hello.cursor.after > Seq::ZERO;
    if known && hello.cursor.is_within(meta) { hello.cursor } else { Cursor::start(meta.head) }
}
