//! The client machine: shows edits at once, sends them once they are safe, and gives way to the order.

use alloc::{boxed::Box, collections::VecDeque, vec::Vec};

use crate::{
    datastore::{Info, Kind, Options},
    id::{Epoch, ReplicaId, Seq, Turn},
    limits::SNAPSHOT_PAGE_RECORDS,
    wire::Cursor,
};

mod author;
mod catch_up;
mod chains;
mod changes;
mod confirm;
mod connection;
mod draft;
mod event;
mod ground;
mod identity;
mod index;
mod lives;
mod outbox;
mod pace;
mod pool;
mod presence;
mod restore;
mod road;
mod sibling;
mod slab;
mod table;
mod view;
mod waiting;
mod write;

pub use changes::{Change, Origin, Watch};
pub use event::{Event, Journal, Reconnect, ResetReason, ops_to_json};
pub use pool::PoolState;
pub use restore::Account;
pub use view::Meta;
pub use write::OpKind;

use author::Author;
use catch_up::Staging;
use changes::Changes;
use draft::Draft;
use outbox::Outbox;
use pace::Pace;
use pool::Pool;
use road::Road;
use sibling::Siblings;
use table::{Names, Table};

/// How far the connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// There is none.
    Offline,
    /// Hello has been said.
    Greeting,
    /// Pages are coming.
    CatchingUp,
    /// At the head, deltas are coming.
    Live,
    /// The datastore is gone, or the relay will not have this replica. The app decides.
    Stopped,
}

/// What is known of the datastore.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Life {
    epoch: Epoch,
    info: Info,
}

/// The client machine of one datastore.
///
/// Four kinds of methods. **Getters** borrow. **Commands** of the app: [`set_many`](Self::set_many),
/// [`mutate`](Self::mutate), [`begin`](Self::begin) to [`commit`](Self::commit). **Inputs** from the
/// world: [`connected`](Self::connected), [`received`](Self::received), [`closed`](Self::closed),
/// [`tick`](Self::tick), [`durable`](Self::durable), [`saved`](Self::saved),
/// [`info_saved`](Self::info_saved). **Outputs**, to be drained after every command and input:
/// [`take_changes`](Self::take_changes) and [`take_events`](Self::take_events); then what goes to the disk,
/// [`take_journal`](Self::take_journal), [`take_block`](Self::take_block) and
/// [`take_unseen`](Self::take_unseen); then [`take_frame`](Self::take_frame), which go to the relay, and
/// [`take_note`](Self::take_note), which go to siblings. A push comes out only for turns that the shell has
/// called durable: so what reached the wire is on the disk.
#[derive(Debug)]
pub struct Replica {
    options: Options,
    seed: u64,
    spare: ReplicaId,
    authors: Vec<Author>,
    life: Option<Life>,
    /// Whether `table` belongs to an epoch that is over.
    is_stale: bool,
    /// The primary field under which what is pending was made, where no relay has told one since.
    made_under: Option<Box<str>>,
    /// Whether Hello may make a life, though this replica knows of one.
    opens_anew: bool,
    /// Whether a relay has welcomed it with its options. It may have been made permanent since.
    is_agreed: bool,
    names: Names,
    page_records: usize,
    table: Table,
    seq: Seq,
    head: Seq,
    outbox: Outbox,
    pools: Vec<Pool>,
    /// How many items have been added to all pools, as far as the frames of this connection explain it;
    /// `None` before the first pool was told.
    added: Option<u64>,
    /// Additions for the log of which nothing else there tells, and those that have been read in it, as blocks.
    unseen: Vec<u8>,
    accepted: Vec<u8>,
    /// How many pieces of news of pools it has taken, and how many of them are on the disk.
    pool_news: u64,
    pool_news_saved: u64,
    /// Bytes of frames that came since the relay was last told.
    unread: u64,
    siblings: Siblings,
    /// What it shows the others, as JSON.
    shows: Option<Box<str>>,
    show_is_due: bool,
    pace: Pace,
    /// Newest turn whose outbox block was handed out.
    blocked: Turn,
    /// The same, also where blocks were to be stored anew since.
    handed: Turn,
    /// How far what is pending may lie on the disk under an id that it had before.
    left: Turn,
    draft: Option<Draft>,
    phase: Phase,
    /// Connections that this machine has had.
    attempts: u64,
    /// The newest turn on a disk from which another life goes on, or may: it can be written no more, or somebody else has it.
    ceiling: Option<Turn>,
    /// Set when what it has is not on a disk that others can read.
    is_alone: bool,
    /// Set while an input waits for [`Replica::info_saved`].
    info_is_unsaved: bool,
    hello_is_due: bool,
    /// The cursor that Next has to ask with.
    next_is_due: Option<Cursor>,
    /// The cursor that the next page has to begin with.
    asked: Cursor,
    staging: Option<Staging>,
    /// Whether a catch-up from the start is under way, or was tried in this connection, because
    /// digests differed.
    healing: bool,
    /// Since when an answer has been awaited, in milliseconds since 1970: the relay's next step in a
    /// greeting or catch-up, the outcome of a push when live. `None` until time is told.
    waits_since: Option<u64>,
    /// Whether what is awaited has been asked for twice.
    has_asked_twice: bool,
    /// What is known of the road.
    road: Road,
    changes: Changes,
    events: VecDeque<Event>,
    journal: Journal,
}

impl Replica {
    /// Starts a replica that holds nothing. `id` and `spare` are fresh random bytes; `spare` becomes
    /// its id should it have to go on under another one. `seed` is random too.
    #[must_use]
    pub fn new(id: ReplicaId, spare: ReplicaId, seed: u64, options: Options) -> Self {
        Replica {
            options,
            seed,
            spare,
            authors: alloc::vec![Author::new(id)],
            life: None,
            is_stale: false,
            made_under: None,
            opens_anew: false,
            is_agreed: false,
            names: Names::default(),
            page_records: SNAPSHOT_PAGE_RECORDS,
            table: Table::new(seed, SNAPSHOT_PAGE_RECORDS),
            seq: Seq::ZERO,
            head: Seq::ZERO,
            outbox: Outbox::new(seed),
            pools: Vec::new(),
            added: None,
            unseen: Vec::new(),
            accepted: Vec::new(),
            pool_news: 0,
            pool_news_saved: 0,
            unread: 0,
            siblings: Siblings::default(),
            shows: None,
            show_is_due: false,
            pace: Pace::default(),
            blocked: Turn::ZERO,
            handed: Turn::ZERO,
            left: Turn::ZERO,
            draft: None,
            phase: Phase::Offline,
            attempts: 0,
            ceiling: None,
            is_alone: false,
            info_is_unsaved: false,
            hello_is_due: false,
            next_is_due: None,
            asked: Cursor::default(),
            staging: None,
            healing: false,
            waits_since: None,
            has_asked_twice: false,
            road: Road::default(),
            changes: Changes::default(),
            events: VecDeque::new(),
            journal: Journal::Nothing,
        }
    }

    /// The newest confirmed seq that it holds.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// The newest seq that it has heard of.
    #[must_use]
    pub fn head(&self) -> Seq {
        self.head.max(self.seq)
    }

    /// How many mutations of its own have no outcome.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.authors.first().map_or(0, |me| me.queue.len())
    }

    /// This incarnation of the datastore, once a relay has told it.
    #[must_use]
    pub fn epoch(&self) -> Option<Epoch> {
        self.life.as_ref().map(|life| life.epoch)
    }

    /// Kind, primary field and lifetime, once a relay has told them.
    #[must_use]
    pub fn datastore(&self) -> Option<&Info> {
        self.life.as_ref().map(|life| &life.info)
    }

    /// The primary field: the relay's word, else that of what is pending, else the option's, else `id`.
    #[must_use]
    pub fn primary(&self) -> &str {
        let told = self.life.as_ref().map(|life| &*life.info.primary);
        told.or(self.made_under.as_deref()).or(self.options.primary.as_deref()).unwrap_or("id")
    }

    /// The kind: the relay's word, else the option's, else temp.
    #[must_use]
    pub fn kind(&self) -> Kind {
        let told = self.life.as_ref().map(|life| life.info.kind);
        told.or(self.options.kind).unwrap_or(Kind::Temp)
    }

    /// Its id: a capability, not for the eyes of others.
    #[must_use]
    pub fn id(&self) -> ReplicaId {
        self.authors.first().map_or(self.spare, |me| me.id)
    }

    /// The newest turn that it has minted.
    #[must_use]
    pub fn minted(&self) -> Turn {
        self.authors.first().map_or(Turn::ZERO, |me| me.minted)
    }

    /// The newest turn of its own that has an outcome.
    #[must_use]
    pub fn settled(&self) -> Turn {
        self.authors.first().map_or(Turn::ZERO, |me| me.settled)
    }

    /// Digest of the confirmed records.
    #[must_use]
    pub fn digest(&self) -> crate::record::Digest {
        self.table.digest()
    }

    /// The next event; ask until there is none.
    pub fn take_events(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What of the frame just taken belongs into the stored state.
    pub fn take_journal(&mut self) -> Journal {
        core::mem::take(&mut self.journal)
    }

    /// The outbox entries up to `turn` are on the disk, under the id that the replica has.
    pub fn durable(&mut self, turn: Turn) {
        self.moved();
        if let Some(me) = self.authors.first_mut() {
            me.durable = me.durable.max(turn.min(me.minted));
            if self.ceiling.is_none() {
                me.stored = me.stored.max(me.durable);
            }
        }
    }

    /// What was settled up to `turn`, and its effect, is on the disk, under the id that the replica has.
    pub fn saved(&mut self, turn: Turn) {
        self.moved();
        if let Some(me) = self.authors.first_mut() {
            me.saved = me.saved.max(turn.min(me.settled));
        }
    }

    /// Gives it fresh random bytes to take as its id should it need another one, after
    /// [`Event::Renumbered`].
    pub fn set_spare(&mut self, spare: ReplicaId) {
        self.spare = spare;
    }

    /// Info and account are on the disk as they are now.
    pub fn info_saved(&mut self) {
        self.info_is_unsaved = false;
    }

    fn me(&mut self) -> Option<&mut Author> {
        self.authors.first_mut()
    }
}

#[cfg(test)]
mod tests;
