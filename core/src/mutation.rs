//! Mutations and the one function that decides them, on both sides alike.

use alloc::{borrow::Cow, boxed::Box, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::{
    id::{BadId, Seq, Turn, check_key, check_name},
    limits::{MUTATION_BYTES_MAX, OPS_MAX, RECORD_BYTES_MAX},
    value::{Invalid, as_string, check_object, merge_patch},
};

/// What must hold for an op when it arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
}

impl<'a> Op<'a> {
    /// The collection and the key that the op is about.
    #[must_use]
    pub const fn place(&self) -> (&'a str, &'a str) {
        match *self {
            Op::Set { collection, key, .. }
            | Op::Patch { collection, key, .. }
            | Op::Delete { collection, key, .. } => (collection, key),
        }
    }

    /// What must hold for the op.
    #[must_use]
    pub const fn only_if(&self) -> Condition {
        match *self {
            Op::Set { only_if, .. } | Op::Patch { only_if, .. } | Op::Delete { only_if, .. } => {
                only_if
            }
        }
    }

    /// The same op under another condition.
    #[must_use]
    pub fn under(mut self, condition: Condition) -> Self {
        match &mut self {
            Op::Set { only_if, .. } | Op::Patch { only_if, .. } | Op::Delete { only_if, .. } => {
                *only_if = condition;
            }
        }
        self
    }

    /// Checks what can be told of the op without looking at any record.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, primary: &str) -> Result<(), Malformed> {
        let (collection, key) = self.place();
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

/// What makes a mutation no mutation. It is the caller's mistake, so nothing is sent or stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// A collection has a bad name: `invalid-name`.
    Name(BadId),
    /// A key is empty or too long: `invalid-key`.
    Key(BadId),
    /// Data is no JSON object that can be stored: `invalid-data`.
    Data(Invalid),
    /// The primary field is missing, or differs from the key: `key-mismatch`.
    KeyMismatch,
    /// A record is larger than 256 KiB: `too-large`.
    RecordSize,
    /// A mutation is larger than 900 KiB, or changes records that are: `too-large`.
    MutationSize,
    /// A mutation has more than 10 000 ops: `too-large`.
    OpCount,
}

impl Malformed {
    /// The public code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Malformed::Name(_) => "invalid-name",
            Malformed::Key(_) => "invalid-key",
            Malformed::Data(_) => "invalid-data",
            Malformed::KeyMismatch => "key-mismatch",
            Malformed::RecordSize | Malformed::MutationSize | Malformed::OpCount => "too-large",
        }
    }

    /// Says it to a person.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Malformed::Name(_) => "a name is 1 to 64 of A-Z a-z 0-9 _ -",
            Malformed::Key(_) => "a key is a text of 1 to 512 bytes of UTF-8",
            Malformed::Data(invalid) => invalid.message(),
            Malformed::KeyMismatch => "the primary field must be there and equal to the key",
            Malformed::RecordSize => "a record is larger than 256 KiB",
            Malformed::MutationSize => "a mutation, or what it changes, is larger than 900 KiB",
            Malformed::OpCount => "a mutation has more than 10 000 ops",
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
    ops.iter().try_for_each(|op| op.check(primary))
}

/// Why a mutation was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// A patch found no record.
    NotFound,
    /// A condition did not hold.
    PreconditionFailed,
    /// A patched record, or all changed records together, came out too large.
    TooLarge,
    /// The datastore holds as many records or bytes as it may.
    StorageFull,
    /// The replica may not write.
    Forbidden,
    /// The relay has forgotten this replica and cannot tell whether the mutation was applied.
    OutcomeUnknown,
}

/// A reasoned no: a value, not an error. The mutation changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The op that it fell over, counted from zero.
    pub op: u32,
}

impl Reason {
    /// The public code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Reason::NotFound => "not-found",
            Reason::PreconditionFailed => "precondition-failed",
            Reason::TooLarge => "too-large",
            Reason::StorageFull => "storage-full",
            Reason::Forbidden => "forbidden",
            Reason::OutcomeUnknown => "outcome-unknown",
        }
    }

    /// Says it to a person.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Reason::NotFound => "there is no record to patch under this key",
            Reason::PreconditionFailed => {
                "the record was not as the condition wants it when the mutation arrived"
            }
            Reason::TooLarge => "what the mutation makes is too large",
            Reason::StorageFull => "the datastore is full",
            Reason::Forbidden => "the token does not allow writing",
            Reason::OutcomeUnknown => {
                "the replica was away too long to tell whether this was applied"
            }
        }
    }
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
            (Op::Set { data, .. }, _) => Some(data.into()),
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It took this seq.
    Accepted(Seq),
    /// It was accepted and changed nothing, so it took no seq.
    Unchanged,
    /// It was refused.
    Refused(Refusal),
}

impl Outcome {
    /// The seq that the mutation took.
    #[must_use]
    pub const fn seq(self) -> Option<Seq> {
        match self {
            Outcome::Accepted(seq) => Some(seq),
            Outcome::Unchanged | Outcome::Refused(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
