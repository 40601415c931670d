//! Many datastores in one process: opens them by their public ids, keeps in memory those in use, and
//! carries out what is due for all of them.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use crate::{
    authority::{Admission, Authority, Moment, Opened, Output, SessionId, Settings, Trouble},
    datastore::Options,
    id::Name,
    limits::ALARM_RETRY_MS,
    storage::Transact,
};

mod entry;

use entry::Entry;

/// Many datastores, each an [`Authority`] over a storage of its own.
///
/// It is the authority's shell as far as one is without IO: it puts each group of inputs into one
/// transaction, commits it before anybody hears of it, and after any [`Trouble`] builds that authority
/// anew with its sessions, so that nothing else notices. What is left to a server is to carry bytes:
/// what is to be sent comes from [`take_outputs`](Self::take_outputs).
///
/// `F` gives the storage of an id, and is asked again whenever a datastore that is not in memory is
/// needed. Storage that was never written to must cost nothing, since asking for a datastore that is
/// not there makes one. Time and dice come as arguments, as everywhere in this crate.
///
/// # Example
///
/// ```
/// use neap_core::{
///     authority::{Admission, Moment, Opened, Settings},
///     datastore::Options,
///     id::{Epoch, Name},
///     mutation::{Condition, Op, Outcome},
///     id::Seq,
///     storage::MemoryStorage,
///     store::Store,
/// };
///
/// let mut store = Store::new(Settings::default(), |_: &Name| Ok(MemoryStorage::new()));
/// let moment = Moment { now: 1_000, dice: Epoch([7; 8]) };
/// let (tasks, notes) = (Name::new("tasks").unwrap(), Name::new("notes").unwrap());
/// let for_a_minute = Options { ttl: Some(60), ..Options::default() };
/// assert_eq!(store.open(&tasks, &for_a_minute, moment), Ok(Opened::Created));
/// assert_eq!(store.open(&tasks, &Options::default(), moment), Ok(Opened::Found));
///
/// let op = Op::Set { collection: "c", key: "k", data: r#"{"id":"k"}"#, only_if: Condition::None };
/// let outcome = store.run(&tasks, moment.now, |authority| authority.mutate(&[op], moment)).unwrap();
/// assert_eq!(outcome, Some(Ok(Outcome::Accepted(Seq(1)))));
/// assert!(store.get(&notes, moment.now).unwrap().is_none());
///
/// // A client that is gone is in no datastore any more, and what has expired goes when it is due.
/// let client = store.arrive();
/// assert_eq!(store.join(client, &tasks, Admission::OPEN, moment.now), Ok(true));
/// store.depart(client, moment.now).unwrap();
/// assert_eq!(store.join(client, &tasks, Admission::OPEN, moment.now), Ok(false));
/// assert_eq!(store.due(), Some(61_001));
/// assert_eq!(store.purge(61_001, 100).gone, [tasks]);
/// assert_eq!(store.in_use(), 0);
/// ```
#[derive(Debug)]
pub struct Store<S: Transact, F> {
    settings: Settings,
    storage: F,
    all: BTreeMap<Name, Entry<S>>,
    /// When something is due for a datastore, in memory or not, in milliseconds since 1970.
    dues: Dues,
    /// The clients that are here, each with the datastores that it has joined.
    clients: BTreeMap<SessionId, BTreeSet<Name>>,
    last: SessionId,
    outputs: Vec<Told>,
}

/// What the shell must do for a datastore. [`Output::Remember`] is not among it: the store remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The datastore.
    pub id: Name,
    /// What is to be done.
    pub output: Output,
}

/// What [`Store::purge`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purged<E> {
    /// Datastores that had expired and are gone.
    pub gone: Vec<Name>,
    /// Datastores that could not be looked after. They come again after [`ALARM_RETRY_MS`].
    pub failed: Vec<(Name, Trouble<E>)>,
}

impl<S: Transact, F: FnMut(&Name) -> Result<S, S::Error>> Store<S, F> {
    /// Starts with no datastore in memory.
    #[must_use]
    pub fn new(settings: Settings, storage: F) -> Self {
        Store {
            settings,
            storage,
            all: BTreeMap::new(),
            dues: Dues::default(),
            clients: BTreeMap::new(),
            last: 0,
            outputs: Vec::new(),
        }
    }

    /// Tells of a datastore that an earlier process has stored: the next [`purge`](Self::purge) looks
    /// when something is due for it.
    pub fn expect(&mut self, id: Name) {
        self.dues.set(id, Some(0));
    }

    /// Opens a datastore, creating it where there is none or where the old one has expired.
    ///
    /// # Errors
    /// When storage fails; so it is with every method.
    pub fn open(
        &mut self,
        id: &Name,
        options: &Options,
        moment: Moment,
    ) -> Result<Opened, Trouble<S::Error>> {
        self.run(id, moment.now, |authority| authority.open(options, moment))
    }

    /// Gives a datastore to read from; `None` where it was never opened or has expired.
    ///
    /// # Errors
    /// When storage fails.
    pub fn get(&mut self, id: &Name, now: u64) -> Result<Option<&Authority<S>>, Trouble<S::Error>> {
        let there = self.read(id, now, |authority| Ok(authority.alive(now).is_some()))?;
        Ok(self.all.get(id).filter(|_| there).and_then(Entry::authority))
    }

    /// Reads from an authority what is committed, whether there is a datastore or not.
    ///
    /// # Errors
    /// When storage fails, or `look` says so.
    pub fn read<T>(
        &mut self,
        id: &Name,
        now: u64,
        look: impl FnOnce(&Authority<S>) -> Result<T, Trouble<S::Error>>,
    ) -> Result<T, Trouble<S::Error>> {
        self.with(id, now, |entry, settings, storage, told| {
            entry.read(settings, storage, told, look)
        })
    }

    /// Runs a group of inputs in one transaction and commits it. Whatever anybody is to hear of it
    /// comes from [`take_outputs`](Self::take_outputs), after what came before.
    ///
    /// # Errors
    /// When storage fails, or `act` says so: nothing of it has then happened.
    pub fn run<T>(
        &mut self,
        id: &Name,
        now: u64,
        act: impl FnOnce(&mut Authority<S>) -> Result<T, Trouble<S::Error>>,
    ) -> Result<T, Trouble<S::Error>> {
        self.with(id, now, |entry, settings, storage, told| {
            entry.run(settings, storage, told, |authority| {
                authority.tick(now);
                act(authority)
            })
        })
    }

    /// Names a client that has come; no two have one name.
    pub fn arrive(&mut self) -> SessionId {
        self.last += 1;
        self.clients.insert(self.last, BTreeSet::new());
        self.last
    }

    /// Connects a client to a datastore, as [`Authority::connect`]; its session there has the client's
    /// name. `false` where the client has departed.
    ///
    /// # Errors
    /// When storage fails.
    pub fn join(
        &mut self,
        client: SessionId,
        id: &Name,
        admission: Admission,
        now: u64,
    ) -> Result<bool, Trouble<S::Error>> {
        let Some(joined) = self.clients.get_mut(&client) else { return Ok(false) };
        joined.insert(id.clone());
        let connected = self.run(id, now, |authority| {
            authority.connect(client, admission, now);
            Ok(true)
        });
        if connected.is_err() {
            self.forget(client, id);
        }
        connected
    }

    /// Disconnects a client from one datastore. Others may have to hear of it.
    ///
    /// # Errors
    /// When storage fails; the client is then out all the same.
    pub fn leave(
        &mut self,
        client: SessionId,
        id: &Name,
        now: u64,
    ) -> Result<(), Trouble<S::Error>> {
        self.forget(client, id);
        let Some(entry) = self.all.get_mut(id) else { return Ok(()) };
        // Nobody is woken only to be told that somebody is gone.
        if entry.lose(client, now) { self.run(id, now, |_| Ok(())) } else { Ok(()) }
    }

    /// Disconnects a client from all datastores, for good.
    ///
    /// # Errors
    /// The first trouble that came up; the client is out everywhere all the same.
    pub fn depart(&mut self, client: SessionId, now: u64) -> Result<(), Trouble<S::Error>> {
        let joined = self.clients.remove(&client).unwrap_or_default();
        let mut so_far = Ok(());
        for id in &joined {
            so_far = so_far.and(self.leave(client, id, now));
        }
        so_far
    }

    /// When [`purge`](Self::purge) wants to be called, in milliseconds since 1970, if ever.
    #[must_use]
    pub fn due(&self) -> Option<u64> {
        self.dues.first()
    }

    /// Looks after datastores for which something is due, `most` of them at most: removes what has
    /// expired, its sessions being told, and lets the others forget what is to be forgotten. There is
    /// more to do while [`due`](Self::due) lies before `now`.
    pub fn purge(&mut self, now: u64, most: usize) -> Purged<S::Error> {
        let mut purged = Purged { gone: Vec::new(), failed: Vec::new() };
        for id in self.dues.until(now, most) {
            let was_in_use = self.all.contains_key(&id);
            let looked_after = self.run(&id, now, |authority| {
                let is_over = authority.is_over(now);
                if is_over {
                    authority.destroy()?
                } else {
                    authority.upkeep(now)?
                }
                Ok(is_over)
            });
            match looked_after {
                Ok(true) => purged.gone.push(id),
                Ok(false) if was_in_use => {}
                Ok(false) => drop(self.all.remove(&id)),
                Err(trouble) => {
                    self.dues.set(id.clone(), Some(now.saturating_add(ALARM_RETRY_MS)));
                    purged.failed.push((id, trouble));
                }
            }
        }
        purged
    }

    /// Lets go of the datastores that nobody is connected to and that were not used since `before`, in
    /// milliseconds since 1970. They are read from their storage again when they are needed.
    pub fn rest(&mut self, before: u64) {
        self.all.retain(|_, entry| entry.is_wanted(before));
    }

    /// How many datastores are in memory.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.all.len()
    }

    /// What is to be carried out, in this order.
    pub fn take_outputs(&mut self) -> Vec<Told> {
        core::mem::take(&mut self.outputs)
    }

    fn forget(&mut self, client: SessionId, id: &Name) {
        if let Some(joined) = self.clients.get_mut(&client) {
            joined.remove(id);
        }
    }

    /// Does something with a datastore, and keeps of it what follows.
    fn with<T>(
        &mut self,
        id: &Name,
        now: u64,
        act: impl FnOnce(&mut Entry<S>, Settings, Made<'_, S>, &mut Vec<Output>) -> T,
    ) -> T {
        let mut entry = self.all.remove(id).unwrap_or_default();
        let mut told = Vec::new();
        let storage = &mut self.storage;
        let done = act(&mut entry, self.settings, &mut || storage(id), &mut told);
        for output in told {
            if let Output::Close { session, .. } = &output {
                self.forget(*session, id);
            }
            self.outputs.push(Told { id: id.clone(), output });
        }
        if let Some(authority) = entry.authority() {
            self.dues.set(id.clone(), due(authority));
        }
        entry.used_at = now;
        // Of what is not there nothing is kept, or asking for many names would fill the memory.
        if !entry.is_empty() {
            self.all.insert(id.clone(), entry);
        }
        done
    }
}

/// Makes the storage of a datastore.
type Made<'a, S> = &'a mut dyn FnMut() -> Result<S, <S as crate::storage::Storage>::Error>;

/// When something is due for a datastore by itself, in milliseconds since 1970.
fn due<S: Transact>(authority: &Authority<S>) -> Option<u64> {
    let last = authority.meta().and_then(|meta| meta.info.expires_at);
    let expiry = last.map(|last| last.saturating_add(1));
    let (upkeep, presence) = (authority.upkeep_due(), authority.presence_due());
    expiry.into_iter().chain(upkeep).chain(presence).min()
}

/// Moments, in the order in which they come.
#[derive(Debug, Default)]
struct Dues {
    by_id: BTreeMap<Name, u64>,
    in_order: BTreeSet<(u64, Name)>,
}

impl Dues {
    fn set(&mut self, id: Name, at: Option<u64>) {
        if self.by_id.get(&id).copied() == at {
            return;
        }
        if let Some(before) = self.by_id.remove(&id) {
            self.in_order.remove(&(before, id.clone()));
        }
        if let Some(at) = at {
            self.by_id.insert(id.clone(), at);
            self.in_order.insert((at, id));
        }
    }

    fn first(&self) -> Option<u64> {
        self.in_order.first().map(|(at, _)| *at)
    }

    fn until(&self, now: u64, most: usize) -> Vec<Name> {
        let due = self.in_order.iter().take_while(|(at, _)| *at <= now);
        due.take(most).map(|(_, id)| id.clone()).collect()
    }
}
