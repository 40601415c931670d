//! The server machine: takes mutations in the order of their arrival, numbers, stores and tells them.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use crate::{
    datastore::Meta,
    id::{Seq, Turn},
    limits::{MUTATION_BYTES_MAX, STRIDE_BYTES, UNREAD_MAX},
    mutation::{Malformed, Op, Outcome, check_ops},
    rate::{Bucket, Buckets, Cost},
    storage::Storage,
    wire::{self, Up},
};

mod admission;
mod apply;
mod archive;
mod catch_up;
mod flow;
mod ledger;
mod life;
mod output;
mod pace;
mod pool;
mod presence;
mod session;
mod stats;
mod upkeep;

pub use crate::wire::Close;
pub use admission::{Admission, Settings};
use apply::Batch;
use archive::Import;
pub use archive::{Closing, Export, ExportPage, Fact, Flaw, ImportId, Opening, PoolFact};
use catch_up::Made;
pub use catch_up::{Listing, PageSize};
pub use ledger::Entry;
use ledger::Ledger;
pub use life::Opened;
pub use output::{Moment, Output, Trouble};
use pace::cost_of;
use pool::Pools;
pub use pool::{Merged, PoolPage};
use presence::News;
pub use presence::is_missed;
use session::{Phase, Session};
pub use stats::Stats;

/// Names a live connection, for as long as it lives. The shell gives it out.
pub type SessionId = u64;

/// The server machine of one datastore, over its storage.
///
/// **Inputs** are [`connect`](Self::connect), [`receive`](Self::receive),
/// [`disconnect`](Self::disconnect) and the requests [`open`](Self::open), [`mutate`](Self::mutate),
/// [`alter`](Self::alter), [`destroy`](Self::destroy). **Outputs** come from
/// [`commit`](Self::commit), which ends a group of inputs. The shell runs the whole group in one
/// transaction, commits it, and only then carries the outputs out, in order: so whatever anybody is
/// told has been stored. Any [`Trouble`] means: roll back, drop this value, start a new one with
/// [`load`](Self::load) and give it the sessions back with [`restore`](Self::restore).
///
/// It keeps in memory the stored meta value, sessions and the ledger entries in use, never records.
#[derive(Debug)]
pub struct Authority<S: Storage> {
    storage: S,
    settings: Settings,
    page: PageSize,
    unread_max: u64,
    meta: Option<Meta>,
    meta_is_dirty: bool,
    import: Option<Box<Import>>,
    /// Whether storage holds the mark of an import, or of the remains of one.
    has_mark: bool,
    ledger: Ledger,
    pools: Pools,
    presence: News,
    subjects: Buckets,
    /// What sessions of subjects have taken since the shell asked.
    costs: BTreeMap<u64, Cost>,
    /// Who has yet to say Hello.
    greeting: BTreeSet<SessionId>,
    sessions: BTreeMap<SessionId, Session>,
    batch: Batch,
    made: Option<Made>,
    /// Bytes of pages that were sent in this group.
    paged: usize,
    outputs: Vec<Output>,
}

impl<S: Storage> Authority<S> {
    /// Reads the datastore's stored state, if there is one.
    ///
    /// # Errors
    /// When storage fails or holds what this code cannot read.
    pub fn load(storage: S, settings: Settings) -> Result<Self, Trouble<S::Error>> {
        let stored = storage.meta()?;
        let has_mark = stored.as_deref() == Some(archive::MARK);
        let meta = stored.filter(|_| !has_mark).map(|bytes| Trouble::read(&bytes));
        let mut meta: Option<Meta> = meta.transpose()?;
        if let Some(meta) = &mut meta {
            meta.counts.wakes = meta.counts.wakes.saturating_add(1);
        }
        Ok(Authority {
            storage,
            settings,
            page: PageSize::default(),
            unread_max: UNREAD_MAX,
            meta,
            meta_is_dirty: false,
            import: None,
            has_mark,
            ledger: Ledger::default(),
            pools: Pools::default(),
            presence: News::default(),
            subjects: Buckets::default(),
            costs: BTreeMap::new(),
            greeting: BTreeSet::new(),
            sessions: BTreeMap::new(),
            batch: Batch::default(),
            made: None,
            paged: 0,
            outputs: Vec::new(),
        })
    }

    /// Closes pages and deltas at another size than usual, for tests of what happens between them.
    pub fn set_page_size(&mut self, page: PageSize) {
        self.page = page;
    }

    /// Takes a new connection, which has to say Hello. `now` is in milliseconds since 1970.
    pub fn connect(&mut self, id: SessionId, admission: Admission, now: u64) {
        let phase = Phase::Greeting;
        let (authors, pools) = (Vec::new(), Vec::new());
        let (epoch, unread, shows, sees) = (None, 0, None, false);
        let bucket = Bucket::default();
        let session = Session {
            admission,
            phase,
            epoch,
            authors,
            pools,
            unread,
            shows,
            sees,
            since: now,
            bucket,
            others: 0,
            again: 0,
            reached: Seq::ZERO,
            unturned: Vec::new(),
            next: None,
            stride: STRIDE_BYTES as u64,
            is_quick: false,
        };
        self.greeting.insert(id);
        self.remember(id, &session);
        self.sessions.insert(id, session);
    }

    /// Gives a session another admission of the same subject, by which all is judged that it says from
    /// here on. `false` where there is no such session or the subject is another one: the shell ends it.
    pub fn readmit(&mut self, id: SessionId, admission: Admission) -> bool {
        let is_same = |session: &&mut Session| session.admission.subject == admission.subject;
        let Some(session) = self.sessions.get_mut(&id).filter(is_same) else { return false };
        if session.admission != admission {
            session.admission = admission;
            let session = session.clone();
            self.remember(id, &session);
        }
        true
    }

    /// Takes back a connection that outlived a sleep or a restart of this machine, with the bytes of
    /// its last [`Output::Remember`]. Bytes that cannot be read end the session, and so does the end
    /// of the life that it was welcomed to.
    pub fn restore(&mut self, id: SessionId, bytes: &[u8]) {
        let Ok(session) = wire::decode_stored::<Session>(bytes) else {
            self.outputs.push(Output::Close { session: id, why: Close::BadRequest });
            return;
        };
        let epoch = self.meta.as_ref().map(|meta| meta.epoch);
        if session.phase != Phase::Greeting && session.epoch != epoch {
            self.outputs.push(Output::Close { session: id, why: Close::Expired });
            return;
        }
        if session.phase == Phase::Greeting {
            self.greeting.insert(id);
        }
        self.sessions.insert(id, session);
    }

    /// Forgets a connection that is gone. When that is noticed after the end, those who stay hear of
    /// the end and of nothing else.
    pub fn disconnect(&mut self, id: SessionId, now: u64) {
        let subject = self.subject_of(id);
        let before = self.speakers_of(subject);
        let Some(session) = self.leave(id) else { return };
        if self.alive(now).is_none() {
            self.expire();
            return;
        }
        self.pools.left(&session.pools, now);
        self.share_anew(subject, before);
    }

    /// Whether [`commit`](Self::commit) has something to do without further input: somebody has left,
    /// and those who stay are to be told, or may have converged.
    #[must_use]
    pub fn wants_commit(&self) -> bool {
        let has_news = !self.outputs.is_empty() || self.presence_due().is_some();
        has_news || self.pools.wants_commit()
    }

    /// Takes a frame. A bad one ends its own session and does nothing else.
    ///
    /// # Errors
    /// When storage fails.
    pub fn receive(
        &mut self,
        id: SessionId,
        bytes: &[u8],
        moment: Moment,
    ) -> Result<(), Trouble<S::Error>> {
        let Some(session) = self.sessions.get(&id) else {
            return Ok(());
        };
        if session.admission.until < moment.now {
            self.close(id, Close::Unauthorized, moment.now);
            return Ok(());
        }
        self.presence.pass(moment.now);
        let is_greeting = session.phase == Phase::Greeting;
        let frame = wire::decode_up(bytes);
        if !is_greeting && self.alive(moment.now).is_none() {
            self.expire();
            return Ok(());
        }
        if !self.afford(id, cost_of(&frame, bytes), moment.now) {
            self.close(id, Close::RateLimited, moment.now);
            return Ok(());
        }
        match frame {
            Ok(Up::Hello(hello)) if is_greeting => self.greet(id, hello, moment),
            Ok(Up::Push(push)) if !is_greeting => self.push(id, push, moment),
            Ok(Up::Next(cursor)) if !is_greeting => self.turn_page(id, cursor, moment),
            Ok(Up::Pool(said)) if !is_greeting => self.hear_of_pool(id, said, moment),
            Ok(Up::Read(bytes)) if !is_greeting => {
                self.has_read(id, bytes);
                Ok(())
            }
            Ok(Up::Presence(state)) if !is_greeting => {
                self.show(id, state, moment.now);
                Ok(())
            }
            Ok(
                Up::Hello(_)
                | Up::Push(_)
                | Up::Next(_)
                | Up::Pool(_)
                | Up::Read(_)
                | Up::Presence(_),
            )
            | Err(wire::BadFrame) => {
                self.close(id, Close::BadRequest, moment.now);
                Ok(())
            }
        }
    }

    /// Decides one mutation that no replica made. It takes its place in the order like any other.
    ///
    /// # Errors
    /// Outside, when storage fails; inside, when it is no mutation at all, or there is no datastore.
    pub fn mutate(
        &mut self,
        ops: &[Op<'_>],
        moment: Moment,
    ) -> Result<Option<Result<Outcome, Malformed>>, Trouble<S::Error>> {
        let Some(meta) = self.alive(moment.now) else {
            return Ok(None);
        };
        if let Err(malformed) = check_ops(ops, &meta.info.primary) {
            return Ok(Some(Err(malformed)));
        }
        // A replica's has been measured in its frame.
        if wire::encode_ops(ops).len() > MUTATION_BYTES_MAX {
            return Ok(Some(Err(Malformed::MutationSize)));
        }
        let outcome = self.apply(ops, Turn::ZERO, moment.now)?;
        self.count(outcome);
        self.seal_if_full();
        Ok(Some(Ok(outcome)))
    }

    /// Ends a group of inputs: writes what is still unwritten and gives the outputs.
    ///
    /// # Errors
    /// When storage fails.
    pub fn commit(&mut self) -> Result<Vec<Output>, Trouble<S::Error>> {
        self.seal();
        self.judge()?;
        self.write_pools()?;
        self.tell_presence();
        if let Some(meta) = self.meta.as_ref().filter(|_| self.meta_is_dirty) {
            self.storage.put_meta(&wire::encode_stored(meta))?;
            self.meta_is_dirty = false;
        }
        self.ledger.write(&mut self.storage)?;
        (self.made, self.paged) = (None, 0);
        Ok(core::mem::take(&mut self.outputs))
    }

    /// What is known of the datastore; `None` where it was never opened or has expired.
    #[must_use]
    pub fn alive(&self, now: u64) -> Option<&Meta> {
        self.meta.as_ref().filter(|meta| !meta.info.is_expired(now))
    }

    /// The stored state, expired or not.
    #[must_use]
    pub fn meta(&self) -> Option<&Meta> {
        self.meta.as_ref()
    }

    /// The bounds that an operator set.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The storage, for tests and statistics.
    #[must_use]
    pub fn storage(&self) -> &S {
        &self.storage
    }

    fn remember(&mut self, id: SessionId, session: &Session) {
        self.outputs.push(Output::Remember { session: id, bytes: wire::encode_stored(session) });
    }

    fn close(&mut self, id: SessionId, why: Close, now: u64) {
        let subject = self.subject_of(id);
        let before = self.speakers_of(subject);
        if let Some(session) = self.leave(id) {
            self.outputs.push(Output::Close { session: id, why });
            self.pools.left(&session.pools, now);
            self.share_anew(subject, before);
        }
    }

    /// Lets go of a session and gives it, if there was one.
    fn leave(&mut self, id: SessionId) -> Option<Session> {
        let session = self.sessions.remove(&id)?;
        self.greeting.remove(&id);
        if session.shows.is_some() {
            self.presence.note(id);
        }
        Some(session)
    }
}

#[cfg(test)]
mod tests;
