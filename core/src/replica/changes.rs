//! What has changed in the view since the app last looked.

use alloc::{boxed::Box, collections::VecDeque, rc::Rc, vec::Vec};

use super::{
    Replica,
    index::{Index, hash_of},
    outbox::Place,
    table::Collection,
};

/// Who changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This replica's app.
    Local,
    /// The order, or another tab.
    Remote,
}

/// How much a shell wants to hear of a collection's changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watch {
    /// Nothing.
    #[default]
    Nothing,
    /// Which keys.
    Keys,
    /// Keys, and the records before and after.
    Records,
}

/// A record of the view that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Name of the collection.
    pub collection: Box<str>,
    /// Its key.
    pub key: Rc<str>,
    /// What it was.
    pub before: Option<Box<str>>,
    /// What it is.
    pub after: Option<Box<str>>,
    /// How much of it the shell wants to hear.
    pub watch: Watch,
}

/// Changes on their way to the app.
#[derive(Debug, Default)]
pub(super) struct Changes {
    watched: Vec<Watch>,
    /// Keys that may have changed in the present input, with what they showed before it.
    marked: Vec<(Place, Option<Box<str>>)>,
    index: Index,
    /// Who has made the latest of them.
    origin: Option<Origin>,
    ready: VecDeque<(Origin, Change)>,
}

impl Changes {
    fn watch(&self, collection: Collection) -> Watch {
        self.watched.get(collection.index()).copied().unwrap_or_default()
    }

    /// Whether anything is watched at all.
    pub(super) fn is_watched(&self) -> bool {
        self.watched.iter().any(|watch| *watch > Watch::Nothing)
    }
}

impl Replica {
    /// Sets how much the shell wants to hear of a collection.
    pub fn watch(&mut self, collection: &str, watch: Watch) {
        let place = self.names.intern(collection).index();
        if self.changes.watched.len() <= place {
            self.changes.watched.resize(place + 1, Watch::Nothing);
        }
        if let Some(level) = self.changes.watched.get_mut(place) {
            *level = watch;
        }
    }

    /// The next change with who made it; ask until there is none. All that come belong together.
    pub fn take_changes(&mut self) -> Option<(Origin, Change)> {
        if let Some(origin) = self.changes.origin.take() {
            self.compare(origin);
        }
        self.changes.ready.pop_front()
    }

    /// The next change, if it is of the same collection, origin and watch as the one before.
    pub fn take_changes_of(
        &mut self,
        collection: &str,
        origin: Origin,
        watch: Watch,
    ) -> Option<(Origin, Change)> {
        let (of, next) = self.changes.ready.front()?;
        let same = *of == origin && next.watch == watch && *next.collection == *collection;
        if same { self.take_changes() } else { None }
    }

    /// What was marked may show something else now. An input may come here more than once; a key that
    /// it changes twice is told once.
    pub(super) fn report(&mut self, origin: Origin) {
        if !self.changes.marked.is_empty() {
            self.changes.origin = Some(origin);
        }
    }

    /// Notes what a key shows, before something is done that may change it.
    pub(super) fn mark(&mut self, collection: Collection, key: &str) {
        if self.changes.watch(collection) == Watch::Nothing {
            return;
        }
        let hash = hash_of(self.seed, collection.0, key);
        let Changes { marked, index, .. } = &mut self.changes;
        let is_it = |at: usize| {
            marked.get(at).is_some_and(|((of, other), _)| *of == collection && **other == *key)
        };
        if index.claim(hash, marked.len(), &is_it).is_some() {
            return;
        }
        let before = self.shown(collection, key).map(Box::from);
        self.changes.marked.push(((collection, key.into()), before));
    }

    /// Compares what was marked with what is shown now.
    fn compare(&mut self, origin: Origin) {
        self.changes.index.clear();
        for ((collection, key), before) in core::mem::take(&mut self.changes.marked) {
            let after = self.shown(collection, &key);
            if before.as_deref() == after {
                continue;
            }
            let change = Change {
                collection: self.names.name(collection).into(),
                after: after.map(Box::from),
                before,
                watch: self.changes.watch(collection),
                key,
            };
            self.changes.ready.push_back((origin, change));
        }
    }
}
