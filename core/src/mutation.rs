//! Mutations and the one function that decides them, on both sides alike.

use alloc::{borrow::Cow, boxed::Box, vec::Vec};

use crate::{
    id::{Seq, Turn, check_key, check_name},
    limits::{MUTATION_BYTES_MAX, OPS_MAX, RECORD_BYTES_MAX},
    pool::{self, Choice},
    value::{as_string, check_object, merge_patch},
};

mod refusal;

pub use refusal::{Malformed, Reason, Refusal};

/// What must hold for an op when it arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    #[default]
    None,
    /// The record was last written at this seq. Zero never holds.
    Seq(Seq),
    /// There is no record.
    Absent,
    /// There is a record.
    Present,
    /// The record was last written by this turn of the mutation's own author, whatever seq that took.
    Mine(Turn),
}

/// One step of a mutation, borrowing its texts from the frame that brought it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op<'a> {
    /// Replaces the whole record, or makes it.
    Set {
        /// Name of the collection.
        collection: &'a str,
        /// Value of the primary field in `data`.
        key: &'a str,
        /// The record as minified JSON.
        data: &'a str,
        /// What must hold.
        only_if: Condition,
    },
    /// Applies a JSON Merge Patch (RFC 7396) to a record.
    Patch {
        /// Name of the collection.
        collection: &'a str,
        /// Value of the record's primary field.
        key: &'a str,
        /// The patch as minified JSON.
        data: &'a str,
        /// What must hold.
        only_if: Condition,
    },
    /// Removes a record; nothing happens where there is none.
    Delete {
        /// Name of the collection.
        collection: &'a str,
        /// Value of the record's primary field.
        key: &'a str,
        /// What must hold.
        only_if: Condition,
    },
    /// Adds an item to a pool, unless it is known. A mutation adds to one pool and does nothing else.
    Add {
        /// Name of the pool, with its mark.
        pool: &'a str,
        /// The identity of `data`, as far as the author knows the pool's primary field.
        ident: &'a str,
        /// The item as canonical JSON.
        data: &'a str,
        /// What the author asks of the pool, should this be its first opening.
        choice: Choice<'a>,
    },
}

impl<'a> Op<'a> {
    /// The collection and the key that the op is about.
    #[must_use]
    pub const fn place(&self) -> (&'a str, &'a str) {
        match *self {
            Op::Set { collection, key, .. }
            | Op::Patch { collection, key, .. }
            | Op::Delete { collection, key, .. } => (collection, key),
            Op::Add { pool, ident, .. } => (pool, ident),
        }
    }

    /// What must hold for the op.
    #[must_use]
    pub const fn only_if(&self) -> Condition {
        match *self {
            Op::Set { only_if, .. } | Op::Patch { only_if, .. } | Op::Delete { only_if, .. } => {
                only_if
            }
            Op::Add { .. } => Condition::None,
        }
    }

    /// Whether it adds to a pool.
    #[must_use]
    pub const fn is_addition(&self) -> bool {
        matches!(self, Op::Add { .. })
    }

    /// The same op under another condition.
    #[must_use]
    pub fn under(mut self, condition: Condition) -> Self {
        match &mut self {
            Op::Set { only_if, .. } | Op::Patch { only_if, .. } | Op::Delete { only_if, .. } => {
                *only_if = condition;
            }
            Op::Add { .. } => {}
        }
        self
    }

    /// Checks what can be told of the op without looking at any record.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, primary: &str) -> Result<(), Malformed> {
        let (collection, key) = self.place();
        if let Op::Add { data, .. } = self {
            pool::check_name(collection).map_err(Malformed::Name)?;
            check_key(key).map_err(Malformed::Key)?;
            let is_large = data.len() > RECORD_BYTES_MAX;
            return if is_large { Err(Malformed::RecordSize) } else { Ok(()) };
        }
        check_name(collection).map_err(Malformed::Name)?;
        check_key(key).map_err(Malformed::Key)?;
        let (Op::Set { data, .. } | Op::Patch { data, .. }) = *self else {
            return Ok(());
        };
        if data.len() > RECORD_BYTES_MAX {
            return Err(Malformed::RecordSize);
        }
        let found = check_object(data, primary).map_err(Malformed::Data)?;
        let same = |raw| as_string(raw).is_some_and(|text| text == key);
        match (self, found) {
            (Op::Patch { .. }, None) => Ok(()),
            (_, Some(raw)) if same(raw) => Ok(()),
            _ => Err(Malformed::KeyMismatch),
        }
    }
}

/// Checks all that can be told of a mutation without looking at any record.
///
/// # Errors
/// The first thing that is wrong.
pub fn check_ops(ops: &[Op<'_>], primary: &str) -> Result<(), Malformed> {
    if ops.len() > OPS_MAX {
        return Err(Malformed::OpCount);
    }
    ops.iter().try_for_each(|op| op.check(primary))?;
    // What adds to a pool does nothing else.
    let apart = |pair: &[Op<'_>]| match pair {
        [one, other] if one.is_addition() || other.is_addition() => {
            one.is_addition() != other.is_addition() || one.place().0 != other.place().0
        }
        _ => false,
    };
    if ops.windows(2).any(apart) { Err(Malformed::Mixed) } else { Ok(()) }
}

/// Who last wrote a record that a mutation looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// The order, at this seq.
    Ordered(Seq),
    /// The mutation's own author, in a turn that has no seq yet.
    Mine(Turn),
    /// Another author, whose turn has no seq yet.
    Theirs,
}

/// A record that a mutation looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// Who last wrote it.
    pub stamp: Stamp,
    /// Its data as minified JSON.
    pub data: Cow<'a, str>,
}

/// The records that a mutation meets: storage at the authority, the view at a replica.
pub trait Base {
    /// What a look-up can fail with.
    type Error;

    /// Finds a live record.
    ///
    /// # Errors
    /// When the place where records are kept fails.
    fn find(&self, collection: &str, key: &str) -> Result<Option<Found<'_>>, Self::Error>;
}

/// What a mutation makes of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Name of the collection.
    pub collection: Box<str>,
    /// The key.
    pub key: Box<str>,
    /// The record that is there afterwards, or `None`.
    pub data: Option<Box<str>>,
}

impl Effect {
    fn size(&self) -> usize {
        self.data.as_ref().map_or(0, |data| data.len())
    }
}

/// A mutation on its way to a verdict: takes ops one after the other, each seeing what those before
/// it did.
#[derive(Clone, Debug, Default)]
pub struct Resolution {
    touched: Vec<Touched>,
    /// The places of `touched` in the order of collections and keys.
    sorted: Vec<usize>,
    bytes: usize,
    ops: u32,
}

#[derive(Clone, Debug)]
struct Touched {
    effect: Effect,
    existed: bool,
}

impl Resolution {
    /// Starts with no op taken.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one checked op of turn `turn`. After a refusal nothing of the mutation counts.
    ///
    /// # Errors
    /// Outside, that a look-up failed; inside, that the mutation is refused.
    pub fn step<B: Base>(
        &mut self,
        op: &Op<'_>,
        turn: Turn,
        base: &B,
    ) -> Result<Result<(), Refusal>, B::Error> {
        let at = self.ops;
        self.ops += 1;
        Ok(self.decide(op, turn, base)?.map_err(|reason| Refusal { reason, op: at }))
    }

    fn decide<B: Base>(
        &mut self,
        op: &Op<'_>,
        turn: Turn,
        base: &B,
    ) -> Result<Result<(), Reason>, B::Error> {
        let (collection, key) = op.place();
        let place = self.search(collection, key);
        let touched = place.ok().and_then(|place| self.touched.get(place));
        let current = match touched {
            Some(touched) => touched
                .effect
                .data
                .as_deref()
                .map(|data| Found { stamp: Stamp::Mine(turn), data: Cow::Borrowed(data) }),
            None => base.find(collection, key)?,
        };
        if !holds(op.only_if(), current.as_ref()) {
            return Ok(Err(Reason::PreconditionFailed));
        }
        let existed = touched.map_or(current.is_some(), |touched| touched.existed);
        let data: Option<Box<str>> = match (*op, current) {
            (Op::Set { data, .. } | Op::Add { data, .. }, _) => Some(data.into()),
            (Op::Patch { .. }, None) => return Ok(Err(Reason::NotFound)),
            (Op::Patch { data, .. }, Some(current)) => {
                let merged = merge_patch(&current.data, data);
                if merged == current.data {
                    return Ok(Ok(()));
                }
                if merged.len() > RECORD_BYTES_MAX {
                    return Ok(Err(Reason::TooLarge));
                }
                Some(merged.into())
            }
            (Op::Delete { .. }, None) => return Ok(Ok(())),
            (Op::Delete { .. }, Some(_)) => None,
        };
        let effect = Effect { collection: collection.into(), key: key.into(), data };
        let bytes = self.bytes + effect.size() - touched.map_or(0, |touched| touched.effect.size());
        if bytes > MUTATION_BYTES_MAX {
            return Ok(Err(Reason::TooLarge));
        }
        self.bytes = bytes;
        self.write(place, effect, existed);
        Ok(Ok(()))
    }

    /// Where `touched` has a key, or else where its place belongs in `sorted`.
    fn search(&self, collection: &str, key: &str) -> Result<usize, usize> {
        let compare = |place: &usize| {
            let effect = self.touched.get(*place).map(|touched| &touched.effect);
            effect.map(|effect| (&*effect.collection, &*effect.key)).cmp(&Some((collection, key)))
        };
        let found = self.sorted.binary_search_by(compare)?;
        self.sorted.get(found).copied().ok_or(found)
    }

    fn write(&mut self, place: Result<usize, usize>, effect: Effect, existed: bool) {
        match place {
            Ok(place) => {
                if let Some(touched) = self.touched.get_mut(place) {
                    touched.effect = effect;
                }
            }
            Err(rank) => {
                self.sorted.insert(rank.min(self.sorted.len()), self.touched.len());
                self.touched.push(Touched { effect, existed });
            }
        }
    }

    /// What the mutation has made of a key so far: `None` where it has not written it.
    #[must_use]
    pub fn written(&self, collection: &str, key: &str) -> Option<&Effect> {
        Some(&self.touched.get(self.search(collection, key).ok()?)?.effect)
    }

    /// Gives the effects, in the order in which keys were first written. What was made and removed
    /// again by the same mutation is none.
    pub fn effects(self) -> impl Iterator<Item = Effect> {
        let lasting = |touched: &Touched| touched.existed || touched.effect.data.is_some();
        self.touched.into_iter().filter(lasting).map(|touched| touched.effect)
    }
}

fn holds(condition: Condition, current: Option<&Found<'_>>) -> bool {
    let stamp = current.map(|found| found.stamp);
    match condition {
        Condition::None => true,
        Condition::Absent => stamp.is_none(),
        Condition::Present => stamp.is_some(),
        Condition::Seq(seq) => seq != Seq::ZERO && stamp == Some(Stamp::Ordered(seq)),
        Condition::Mine(turn) => stamp == Some(Stamp::Mine(turn)),
    }
}

/// Decides a whole mutation: what it changes, or why not.
///
/// # Errors
/// When a look-up failed.
pub fn resolve<B: Base>(
    ops: &[Op<'_>],
    turn: Turn,
    base: &B,
) -> Result<Result<Resolution, Refusal>, B::Error> {
    let mut resolution = Resolution::new();
    for op in ops {
        if let Err(refusal) = resolution.step(op, turn, base)? {
            return Ok(Err(refusal));
        }
    }
    Ok(Ok(resolution))
}

/// What became of a mutation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took this seq.
    Accepted(Seq),
    /// It was accepted and changed nothing, so it took no seq.
    Unchanged,
    /// It was refused.
    Refused(Refusal),
    /// It added to a pool, whose own newest seq this is.
    Added(Seq),
}

impl Outcome {
    /// The seq that the mutation took among the datastore's records.
    #[must_use]
    pub const fn seq(self) -> Option<Seq> {
        match self {
            Outcome::Accepted(seq) => Some(seq),
            Outcome::Unchanged | Outcome::Refused(_) | Outcome::Added(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
