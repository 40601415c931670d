//! Frames that come and go.

use alloc::{string::String, vec::Vec};

use super::{
    Event, Journal, Life, Phase, Reconnect, Replica, author::Author, confirm::Unsettled,
    table::Held,
};
use crate::{
    datastore::Kind,
    id::{Epoch, ReplicaId, Seq, Turn},
    limits::{READ_STEP_BYTES, STRIDE_BYTES, STRIDE_BYTES_MIN, UNACKED_MAX},
    record::Digest,
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

    /// The app has heard [`Event::Expired`] and opens the datastore anew: where there is still none, the
    /// next Hello makes one, to which what is pending goes.
    pub fn open_anew(&mut self) {
        self.opens_anew = true;
    }

    /// A connection stands; Hello comes out as the first frame.
    pub fn connected(&mut self, now: u64) {
        self.answered();
        self.pace.pass(now);
        self.ask_for_life();
        self.waits_since = Some(now);
        self.attempts += 1;
        self.phase = Phase::Greeting;
        self.hello_is_due = true;
        self.next_is_due = None;
        self.unread = 0;
        self.road.is_cut();
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
            (Down::Page(page), Phase::CatchingUp) => self.turn_page(page, frame)?,
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
            self.has_come(before.0, before.1, now);
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
        let is_reborn = self.epoch().is_some_and(|epoch| epoch != welcome.epoch);
        let fits = |kind| kind == welcome.info.kind;
        if *welcome.info.primary != *self.primary() && self.pending() > 0
            || is_reborn && !self.options.kind.is_none_or(fits)
        {
            // What is pending was made for another primary field, and the relay would take none of it; or another life has
            // another kind than the app has opened.
            self.closed(Close::Options.code());
            return Ok(());
        }
        let standing = match standing {
            Standing::Settled(known) => {
                let kept = self.kept();
                if known > kept {
                    // Another life of it has gone on from the same disk. What came too late for that is nobody else's.
                    self.ceiling = Some(kept);
                }
                // The turns above are those of whoever reads the disk.
                Standing::Settled(known.min(self.ceiling.unwrap_or(known)))
            }
            Standing::New(_) | Standing::Forgotten => standing,
        };
        (self.opens_anew, self.is_agreed) = (false, true);
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
        let is_strange = match standing {
            Standing::New(_) => settled > Turn::ZERO,
            Standing::Settled(known) => known < settled,
            Standing::Forgotten => false,
        };
        if let Some(ceiling) = self.ceiling.filter(|_| is_reborn || is_strange) {
            // Whoever reads the forsaken disk delivers them here, and this one hears nothing of it.
            self.refuse_up_to(ceiling);
            self.change_identity();
            return Err(Reconnect::NewIdentity);
        }
        match standing {
            Standing::New(_) | Standing::Settled(_) if is_strange => {
                // Another life; or one that was set back behind what it told: what is pending it has
                // never seen.
                self.change_identity();
                return Err(Reconnect::NewIdentity);
            }
            Standing::New(birth) => {
                if let Some(me) = self.me() {
                    has_news |= me.birth != Some(birth);
                    (me.birth, me.known) = (Some(birth), Turn::ZERO);
                }
            }
            Standing::Settled(known) => {
                if let Some(me) = self.me() {
                    (me.pushed, me.known) = (known, known);
                    // Another life of it has the stamp: it was born before all others.
                    has_news |= me.birth.is_none();
                    me.birth.get_or_insert(0);
                }
            }
            // Whether what is pending was applied nobody can tell any more.
            Standing::Forgotten => {
                self.refuse_up_to(self.ceiling.unwrap_or(self.minted()));
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

    fn take_delta(&mut self, delta: &Delta, changes: &Changes<'_>) {
        self.head = self.head.max(delta.to);
        if delta.from != self.seq || !self.makes_sense(changes, &delta.settled) {
            self.ask_again();
            return;
        }
        let mut unsettled = Unsettled::default();
        let mut told = delta.settled.iter();
        let mut next = told.next();
        for row in changes.rows().flatten() {
            let collection = self.names.intern(row.collection);
            while next.is_some_and(|told| told.outcome.seq() < Some(row.seq)) {
                next = told.next();
            }
            if let Some(told) = next.filter(|told| told.outcome.seq() == Some(row.seq)) {
                self.look_beneath(told, (collection, row.key));
            }
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

    /// The next frame to send; ask until there is none: what a page has left to do is done when its Next is out. Whose
    /// bytes have left and are lost must be followed by [`Replica::closed`].
    pub fn take_frame(&mut self) -> Option<Vec<u8>> {
        if core::mem::take(&mut self.hello_is_due) {
            return Some(self.hello());
        }
        if let Some(cursor) = self.next_is_due.take() {
            self.asked = cursor;
            self.unread = 0;
            return Some(wire::encode_up(&Up::Next(cursor)));
        }
        // Who takes the page that follows hears of rows that are torn.
        let _ = self.stage();
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
        let mut options = self.options.clone();
        if self.life.is_none() {
            options.primary = options.primary.or_else(|| self.made_under.clone());
        }
        if self.is_agreed && !self.opens_anew {
            options.kind = None;
        }
        let hello = Hello {
            version: VERSION,
            options,
            epoch: self.epoch().filter(|_| !self.opens_anew),
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
        let is_live = self.phase == Phase::Live;
        let most = self.road.room()?.min(if is_live { STRIDE_BYTES } else { STRIDE_BYTES_MIN });
        let room = self.pace.room(end.0 - pushed.0)?;
        let end = end.min(Turn(pushed.0.saturating_add(room)));
        let (first, last, block) =
            self.block_after(pushed, end, self.pace.push_bytes().min(most), true)?;
        if !is_live && block.len() > most {
            return None;
        }
        let frame = wire::encode_up(&Up::Push(Push { author: 0, acked, first, block: &block }));
        if !self.pace.take(last.0 - pushed.0, frame.len()) {
            return None;
        }
        self.road.took(last, frame.len());
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
    let Digest([tag @ .., _, _, _, _, _, _, _, _]) = Digest::of("neap tag", "", Seq::ZERO, &id.0);
    Epoch(tag).to_hex()
}
