//! Frames that come and go.

use alloc::{string::String, vec::Vec};

use super::{
    Event, Journal, Life, Phase, Reconnect, Replica, author::Author, confirm::Unsettled,
    table::Held,
};
use crate::{
    datastore::Kind,
    id::{Epoch, ReplicaId, Seq, Turn},
    limits::{READ_STEP_BYTES, UNACKED_MAX},
    mutation::{Condition, Outcome, Reason, Refusal},
    wire::{
        self, Changes, Close, Delta, Down, Hello, Introduction, Pong, Push, Role, Standing, Up,
        VERSION, Welcome,
    },
};

impl Replica {
    /// How far the connection has come.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// A connection stands; Hello comes out as the first frame.
    pub fn connected(&mut self, now: u64) {
        self.answered();
        self.pace.pass(now);
        self.waits_since = Some(now);
        self.attempts += 1;
        self.phase = Phase::Greeting;
        self.hello_is_due = true;
        self.next_is_due = None;
        self.unread = 0;
        self.healing = false;
        self.show_is_due = self.shows.is_some();
        self.close_pools();
        for author in &mut self.authors {
            author.pushed = author.settled;
        }
    }

    /// The connection is gone, with the code of its close frame.
    pub fn closed(&mut self, code: u16) {
        self.hello_is_due = false;
        self.next_is_due = None;
        self.phase = Phase::Offline;
        self.close_pools();
        let is = |close: Close| close.code() == code;
        if is(Close::Expired) {
            self.phase = Phase::Stopped;
            self.events.push_back(Event::Expired);
            return;
        }
        let final_ones = [Close::Options, Close::Forbidden, Close::Superseded];
        if let Some(close) = final_ones.into_iter().find(|close| is(*close)) {
            self.phase = Phase::Stopped;
            self.events.push_back(Event::Stopped(close.reason()));
        }
    }

    /// The answer to a ping, which a relay gives without waking: a [`Pong`]. What no delta has told is
    /// asked for.
    ///
    /// # Errors
    /// When the epoch is another one: Hello has to be said again.
    pub fn pong(&mut self, text: &str, now: u64) -> Result<(), Reconnect> {
        let Some(Pong { epoch, head, added }) = Pong::from_text(text) else {
            return Ok(());
        };
        if self.phase != Phase::Live {
            return Ok(());
        }
        if self.epoch() != Some(epoch) {
            return Err(Reconnect::BadFrame);
        }
        if head > self.seq {
            self.head = self.head.max(head);
            self.ask_again();
            self.waits_since = Some(now);
        } else {
            self.ask_pools(added);
        }
        Ok(())
    }

    /// Takes a frame.
    ///
    /// # Errors
    /// When the shell must close the connection and open another one. Nothing is lost.
    pub fn received(&mut self, frame: &[u8], now: u64) -> Result<(), Reconnect> {
        self.pace.pass(now);
        self.journal = Journal::Nothing;
        self.unread += frame.len() as u64;
        let (down, changes) = wire::decode_down(frame).map_err(|_| Reconnect::BadFrame)?;
        let before = (self.phase, self.settled());
        let is_step =
            !matches!(down, Down::Delta(_) | Down::Pool(_) | Down::Presence(_) | Down::Rates(_));
        match (down, self.phase) {
            (Down::Welcome(welcome), Phase::Greeting) => self.welcome(welcome)?,
            (Down::Page(page), Phase::CatchingUp) => self.turn_page(page, &changes)?,
            (Down::Delta(delta), Phase::Live) => self.take_delta(&delta, &changes),
            (Down::Behind, Phase::Live) => self.ask_again(),
            (Down::Pool(news), Phase::Live) => self.hear_of_pool(news, &changes),
            (Down::Presence(news), Phase::CatchingUp | Phase::Live) => {
                self.events.push_back(Event::Presence(news));
            }
            (Down::Rates(rates), Phase::CatchingUp | Phase::Live) => self.pace.set_rates(rates),
            // Sent before the authority heard that this replica asks for pages: they bring it too.
            (Down::Delta(_) | Down::Behind | Down::Pool(_), Phase::CatchingUp) => {}
            // The shell has yet to hear that there is no connection any more.
            (_, Phase::Offline | Phase::Stopped) => return Ok(()),
            (
                Down::Welcome(_)
                | Down::Page(_)
                | Down::Delta(_)
                | Down::Behind
                | Down::Pool(_)
                | Down::Presence(_)
                | Down::Rates(_),
                _,
            ) => return Err(Reconnect::BadFrame),
        }
        self.outgrow()?;
        // What others do is no answer.
        if is_step || before != (self.phase, self.settled()) {
            self.answered();
            self.waits_since = self.is_waiting().then_some(now);
        }
        Ok(())
    }

    fn welcome(&mut self, welcome: Welcome) -> Result<(), Reconnect> {
        let standing = welcome.standings.first().copied().ok_or(Reconnect::BadFrame)?;
        if welcome.version == 0 || welcome.version > VERSION {
            return Err(Reconnect::BadFrame);
        }
        if *welcome.info.primary != *self.primary() && self.pending() > 0 {
            // What is pending was made for another primary field: the relay would take none of it.
            self.closed(Close::Options.code());
            return Ok(());
        }
        let is_reborn = self.epoch().is_some_and(|epoch| epoch != welcome.epoch);
        self.head = if is_reborn { welcome.head } else { self.head.max(welcome.head) };
        self.pace.set_rates(welcome.rates);
        self.pace.set_debt(welcome.debt);
        let life = Life { epoch: welcome.epoch, info: welcome.info };
        let mut has_news = self.life.as_ref() != Some(&life);
        self.life = Some(life);
        if is_reborn {
            self.outlive();
        }
        let settled = self.settled();
        let minted = self.minted();
        match standing {
            Standing::New(_) if settled > Turn::ZERO => {
                self.change_identity();
                return Err(Reconnect::NewIdentity);
            }
            Standing::New(birth) => {
                if let Some(me) = self.me() {
                    has_news |= me.birth != Some(birth);
                    me.birth = Some(birth);
                }
            }
            // It has been set back behind what it told: what is pending it has never seen.
            Standing::Settled(known) if known < settled => {
                self.change_identity();
                return Err(Reconnect::NewIdentity);
            }
            Standing::Settled(known) if known <= minted => {
                if let Some(me) = self.me() {
                    me.pushed = known.max(settled);
                }
            }
            // The ledger has forgotten this replica, or this replica has forgotten turns that it
            // minted. Whether what is pending was applied nobody can tell any more.
            Standing::Settled(_) | Standing::Forgotten => {
                self.refuse_all();
                self.change_identity();
                return Err(Reconnect::NewIdentity);
            }
        }
        if has_news {
            self.info_is_unsaved = true;
            self.events.push_back(Event::Welcome);
        }
        self.phase = Phase::CatchingUp;
        Ok(())
    }

    /// Lets go of a life that is over: conditions on its seqs can never hold again, so what is
    /// pending has to be stored anew, and only then may it be pushed to the new one.
    fn outlive(&mut self) {
        self.is_stale = true;
        self.staging = None;
        let ordinals: Vec<_> = self.outbox.ordinals().collect();
        for ordinal in ordinals {
            self.outbox.rewrite(ordinal, |condition| match condition {
                Condition::Seq(_) => Condition::Seq(Seq::ZERO),
                Condition::None | Condition::Absent | Condition::Present | Condition::Mine(_) => {
                    condition
                }
            });
        }
        self.rebase_all();
        if let Some(me) = self.authors.first_mut().filter(|me| !me.queue.is_empty()) {
            me.durable = me.settled;
            self.blocked = me.settled;
            self.events.push_back(Event::Renumbered);
        }
    }

    /// Goes on under the spare id, with what is pending renumbered.
    pub(super) fn change_identity(&mut self) {
        let spare = self.spare;
        let Some(me) = self.authors.first_mut() else {
            return;
        };
        let before = me.settled;
        self.siblings.renamed(me.id);
        // The session that stands speaks for the old id: nothing may be said in it any more.
        self.phase = Phase::Offline;
        (self.hello_is_due, self.next_is_due) = (false, None);
        me.id = spare;
        me.birth = None;
        me.generation = 1;
        me.minted = Turn(me.minted.0 - before.0);
        (me.settled, me.saved, me.pushed) = (Turn::ZERO, Turn::ZERO, Turn::ZERO);
        (me.durable, me.stored) = (Turn::ZERO, Turn::ZERO);
        me.placed.clear();
        self.ceiling = None;
        self.blocked = Turn::ZERO;
        self.outbox.renumber(0, before);
        self.events.retain(|event| *event != Event::Renumbered);
        self.events.push_back(Event::Renumbered);
    }

    /// The disk that holds the outbox can be written no more. Whoever reads it later will deliver what
    /// is on it, and mint the turns that follow anew: so this replica delivers the same turns, and goes
    /// on under another id with everything that came too late for the disk.
    ///
    /// # Errors
    /// [`Reconnect::NewIdentity`] when that id is taken at once.
    pub fn forsake_disk(&mut self) -> Result<(), Reconnect> {
        self.ceiling = self.authors.first().map(|me| me.stored);
        self.is_alone = true;
        self.outgrow()
    }

    /// Takes another id once all that the forsaken disk holds is settled.
    fn outgrow(&mut self) -> Result<(), Reconnect> {
        if self.ceiling.is_none_or(|ceiling| self.settled() < ceiling) {
            return Ok(());
        }
        self.change_identity();
        Err(Reconnect::NewIdentity)
    }

    /// Refuses everything pending.
    fn refuse_all(&mut self) {
        let mut unsettled = Unsettled::default();
        while let Some(me) = self.authors.first_mut()
            && let Some(ordinal) = me.queue.pop_front()
        {
            me.settled = me.settled.next();
            let (turn, refusal) = (me.settled, Refusal { reason: Reason::OutcomeUnknown, op: 0 });
            self.finish(0, turn, Outcome::Refused(refusal), ordinal, &mut unsettled);
        }
        self.rebase(unsettled);
    }

    fn take_delta(&mut self, delta: &Delta, changes: &Changes<'_>) {
        self.head = self.head.max(delta.to);
        if delta.from != self.seq || !self.makes_sense(changes, &delta.settled) {
            self.ask_again();
            return;
        }
        let mut unsettled = Unsettled::default();
        for row in changes.rows().flatten() {
            let collection = self.names.intern(row.collection);
            let held = Held { seq: row.seq, data: row.data.unwrap_or("") };
            self.confirm(collection, row.key, held, &mut unsettled);
        }
        self.settle(&delta.settled, &mut unsettled);
        self.settle_siblings(delta.to, &mut unsettled);
        self.rebase(unsettled);
        self.seq = delta.to;
        self.journal = Journal::Frame;
        if let (Some(life), Some(expires_at)) = (&mut self.life, delta.expires_at) {
            life.info.expires_at = expires_at;
            if expires_at.is_none() {
                life.info.kind = Kind::Permanent;
            }
        }
        if self.table.digest() != delta.digest {
            self.diverged();
        }
    }

    /// The next frame to send; ask until there is none. Whose bytes have left and are lost must be
    /// followed by [`Replica::closed`].
    pub fn take_frame(&mut self) -> Option<Vec<u8>> {
        if core::mem::take(&mut self.hello_is_due) {
            return Some(self.hello());
        }
        if let Some(cursor) = self.next_is_due.take() {
            self.asked = cursor;
            self.unread = 0;
            return Some(wire::encode_up(&Up::Next(cursor)));
        }
        if self.is_welcome() && self.unread >= READ_STEP_BYTES {
            return Some(wire::encode_up(&Up::Read(core::mem::take(&mut self.unread))));
        }
        let push = if self.may_push() { self.push() } else { None };
        push.or_else(|| self.pool_frame()).or_else(|| self.show_frame())
    }

    fn is_welcome(&self) -> bool {
        matches!(self.phase, Phase::CatchingUp | Phase::Live)
    }

    pub(super) fn may_push(&self) -> bool {
        self.is_welcome() && !self.info_is_unsaved
    }

    fn hello(&mut self) -> Vec<u8> {
        self.asked = self.cursor();
        let (role, attempt) = (Role::Speaker, self.attempts);
        let introduce = |author: &Author| Introduction {
            id: author.id,
            role,
            generation: author.generation,
            attempt,
            birth: author.birth,
            acked: author.saved,
        };
        let hello = Hello {
            version: VERSION,
            options: self.options.clone(),
            epoch: self.epoch(),
            cursor: self.asked,
            authors: self.authors.iter().take(1).map(introduce).collect(),
        };
        wire::encode_up(&Up::Hello(hello))
    }

    /// Packs what is durable and was not pushed in this connection, within the ledger's window and no
    /// faster than the relay allows.
    fn push(&mut self) -> Option<Vec<u8>> {
        let me = self.authors.first()?;
        let window = Turn(me.saved.0 + UNACKED_MAX);
        let acked = me.saved;
        let end = me.durable.min(window).min(self.ceiling.unwrap_or(window));
        let pushed = me.pushed.max(me.settled);
        if end <= pushed {
            return None;
        }
        let room = self.pace.room(end.0 - pushed.0)?;
        let end = end.min(Turn(pushed.0.saturating_add(room)));
        let (first, last, block) = self.block_after(pushed, end, self.pace.push_bytes())?;
        let frame = wire::encode_up(&Up::Push(Push { author: 0, acked, first, block: &block }));
        if !self.pace.take(last.0 - pushed.0, frame.len()) {
            return None;
        }
        if let Some(me) = self.me() {
            me.pushed = last;
        }
        Some(frame)
    }

    /// Stands for this replica in public: 16 hex digits that do not give its id away.
    #[must_use]
    pub fn tag(&self) -> String {
        tag_of(self.id())
    }
}

/// Stands for a replica in public, without giving its id away.
fn tag_of(id: ReplicaId) -> String {
    use core::hash::Hasher;
    let mut hasher = siphasher::sip::SipHasher13::new();
    hasher.write(b"neap tag");
    hasher.write(&id.0);
    Epoch(hasher.finish().to_be_bytes()).to_hex()
}
