//! The bytes of frames and of stored values. Everything else carries them unread.
//!
//! A frame is an [`Up`] or a [`Down`]; a [`Down::Page`] and a [`Down::Delta`] are followed by a
//! [`Changes`], so that one encoding of it serves every receiver. `layout` says how values lie in bytes,
//! `model` in which order; `core/tests/it/golden.rs` holds each kind of frame byte for byte.

use alloc::{boxed::Box, vec::Vec};

use crate::{
    datastore::{Info, Options},
    id::{Epoch, ReplicaId, Seq, Turn},
    limits::{AUTHORS_MAX, FRAME_BYTES_MAX, OPS_MAX, PRESENCE_BYTES_MAX},
    mutation::{Op, Outcome},
    rate::{Bucket, Rates},
    record::Digest,
};

mod checksum;
mod close;
mod layout;
mod model;
mod note;
mod pong;
mod pool;
mod presence;
mod rows;

pub use checksum::{checksum, seal};
pub use close::Close;
use layout::put_varint;
pub(crate) use layout::put_varints;
pub use layout::{Layout, Reader};
pub(crate) use layout::{fields, kinds};
pub use note::{Note, decode_note, encode_note};
pub use pong::{PING, Pong};
pub use pool::{PoolAsk, PoolDown, PoolLast, PoolNews, PoolUp};
pub use presence::{Presence, Shown};
pub(crate) use rows::place_within;
pub use rows::{Changes, Packer, RowRef, Rows, decode_changes, encode_changes, peek_changes};

/// The newest version of the protocol that this code speaks. Hello names the sender's newest,
/// Welcome the one that both then use.
pub const VERSION: u16 = 1;

/// The bytes are no frame of this protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadFrame;

/// What a replica says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Up<'a> {
    /// Opens a session; the first frame, and the only one of its kind.
    Hello(Hello),
    /// Brings mutations.
    Push(Push<'a>),
    /// Asks for the next page of catch-up, or for a catch-up after a gap.
    Next(Cursor),
    /// Speaks of a pool.
    Pool(PoolUp<'a>),
    /// Has read so many bytes of frames more. Next says the same of all that came before.
    Read(u64),
    /// Shows the others a state, as JSON, in place of the one before; or nothing any more.
    Presence(Option<&'a str>),
}

/// Opens a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Newest version that the replica speaks.
    pub version: u16,
    /// What the app asked for.
    pub options: Options,
    /// The epoch that the replica knows. One that knows an epoch never creates a datastore.
    pub epoch: Option<Epoch>,
    /// Where to go on.
    pub cursor: Cursor,
    /// Replicas that the session speaks or listens for; the first is the one that opened it.
    pub authors: Vec<Introduction>,
}

/// How far a replica has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The newest seq that it holds.
    pub after: Seq,
    /// It needs to hear of what was deleted after this seq.
    pub floor: Seq,
}

impl Cursor {
    /// Where a replica that holds nothing begins: with no tombstones but those that are yet to come.
    #[must_use]
    pub const fn start(head: Seq) -> Cursor {
        Cursor { after: Seq::ZERO, floor: head }
    }
}

/// A replica that a session speaks or listens for. To know its id is to be allowed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// Which replica.
    pub id: ReplicaId,
    /// Whether the session pushes for it.
    pub role: Role,
    /// Counts its owners; a session of a lower generation has lost it.
    pub generation: u64,
    /// Counts the connections of this owner: of two the later one stays, whichever arrives first.
    pub attempt: u64,
    /// The birth stamp that a relay gave it, in milliseconds since 1970.
    pub birth: Option<u64>,
    /// Outcomes of turns up to this one are known and kept; the ledger may forget them.
    pub acked: Turn,
}

/// What a session does for a replica of Hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Pushes its mutations and hears what becomes of them.
    Speaker,
    /// Hears what becomes of its mutations, since it shows them.
    Listener,
}

/// Brings mutations of one author, in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Push<'a> {
    /// Whose they are: its place in Hello's list.
    pub author: u8,
    /// As in [`Introduction`].
    pub acked: Turn,
    /// Turn of the first mutation.
    pub first: Turn,
    /// The mutations, each encoded by [`encode_ops`], with its length before it.
    pub block: &'a [u8],
}

/// What an authority says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Down {
    /// Answers Hello; the first page of catch-up follows at once.
    Welcome(Welcome),
    /// One page of catch-up; its [`Changes`] follow.
    Page(Page),
    /// What happened since; its [`Changes`] follow.
    Delta(Delta),
    /// The receiver has missed something and shall ask with Next.
    Behind,
    /// Speaks of a pool; the items of a page and a delta follow as [`Changes`].
    Pool(PoolDown),
    /// Tells what others show.
    Presence(Presence),
    /// What the receiver may write from here on, since it shares with more or fewer.
    Rates(Rates),
}

/// Answers Hello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// Version that both sides use from here on.
    pub version: u16,
    /// Kind, primary field and lifetime.
    pub info: Info,
    /// This incarnation.
    pub epoch: Epoch,
    /// The newest seq.
    pub head: Seq,
    /// How the ledger knows the replicas of Hello, in its order.
    pub standings: Vec<Standing>,
    /// The authority's clock, in milliseconds since 1970.
    pub now: u64,
    /// How fast the receiver may write; it shares with others of its subject.
    pub rates: Rates,
    /// How long the buckets for that take to be full.
    pub debt: Bucket,
}

/// How the ledger knows a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not yet: it was born now, at this moment in milliseconds since 1970, and keeps that stamp.
    New(u64),
    /// Its turns up to this one are settled.
    Settled(Turn),
    /// It was known and has been forgotten: what it has pending may have been applied or not.
    Forgotten,
}

/// One page of catch-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Where this page begins. Unless that is where the page before ended, the receiver starts again.
    pub from: Cursor,
    /// Where the next page begins.
    pub cursor: Cursor,
    /// The newest seq when the page was made.
    pub head: Seq,
    /// Stands on the last page: with it the replica is at the head, and deltas follow.
    pub last: Option<Last>,
}

/// What the last page of a catch-up adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Last {
    /// Over all live records.
    pub digest: Digest,
    /// What was settled and has not been acknowledged, for each author in order of turns.
    pub settled: Vec<Settled>,
}

/// What happened since the receiver's seq, as one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// The seq that it follows.
    pub from: Seq,
    /// The seq that it leads to.
    pub to: Seq,
    /// Over all live records, at `to`.
    pub digest: Digest,
    /// Where the end of the datastore's life has moved: its last moment, in milliseconds since 1970, or
    /// `None` for never.
    pub expires_at: Option<Option<u64>>,
    /// What it settles for the receiver, for each author in order of turns.
    pub settled: Vec<Settled>,
}

/// The outcome of one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Whose turn: its place in Hello's list.
    pub author: u8,
    /// Which.
    pub turn: Turn,
    /// What became of it.
    pub outcome: Outcome,
}

/// Encodes a mutation as it is pushed and as it lies in the outbox.
#[must_use]
pub fn encode_ops(ops: &[Op<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_varint(&mut bytes, ops.len() as u64);
    for op in ops {
        op.put(&mut bytes);
    }
    bytes
}

/// Appends an unconditional set to the ops of a mutation. The data ends one byte before the end.
pub fn append_set(ops: &mut Vec<u8>, collection: &str, key: &str, data: &str) {
    ops.reserve(collection.len() + key.len() + data.len() + 9);
    // The first kind of op, its texts, no condition: by hand, since every write of an app comes by here.
    ops.push(0);
    for text in [collection, key, data] {
        text.put(ops);
    }
    ops.push(0);
}

/// Completes a mutation of `count` ops that were appended, and tells how many bytes stand before them.
#[must_use]
pub fn encode_counted(count: usize, ops: &[u8]) -> (Box<[u8]>, usize) {
    let mut bytes = Vec::with_capacity(ops.len() + 3);
    put_varint(&mut bytes, count as u64);
    let shift = bytes.len();
    bytes.extend_from_slice(ops);
    (bytes.into(), shift)
}

/// Decodes a mutation. What it says is still unchecked.
///
/// # Errors
/// When the bytes are no mutation of at most [`OPS_MAX`] ops.
pub fn decode_ops(bytes: &[u8]) -> Result<Vec<Op<'_>>, BadFrame> {
    // The count comes first: an op takes many times its bytes in memory, so it is judged before.
    if Reader::new(bytes).length()? > OPS_MAX {
        return Err(BadFrame);
    }
    decode(bytes)
}

/// Appends a mutation, encoded by [`encode_ops`], to the block of a push.
pub fn append_to_block(block: &mut Vec<u8>, mutation: &[u8]) {
    mutation.put(block);
}

/// Takes the mutations out of a block, one after the other.
pub fn split_block(block: &[u8]) -> impl Iterator<Item = Result<&[u8], BadFrame>> {
    let mut from = Reader::new(block);
    core::iter::from_fn(move || {
        if from.rest().is_empty() {
            return None;
        }
        let mutation = Layout::take(&mut from);
        if mutation.is_err() {
            from = Reader::new(&[]);
        }
        Some(mutation)
    })
}

/// Encodes what a replica says.
#[must_use]
pub fn encode_up(frame: &Up<'_>) -> Vec<u8> {
    encode(frame)
}

/// Decodes what a replica says.
///
/// # Errors
/// When the bytes are no frame, are larger than [`FRAME_BYTES_MAX`], name too many authors, or show
/// more than [`PRESENCE_BYTES_MAX`].
pub fn decode_up(bytes: &[u8]) -> Result<Up<'_>, BadFrame> {
    if bytes.len() > FRAME_BYTES_MAX {
        return Err(BadFrame);
    }
    let frame = decode(bytes)?;
    match &frame {
        Up::Hello(hello) if hello.authors.is_empty() || hello.authors.len() > AUTHORS_MAX => {
            Err(BadFrame)
        }
        Up::Presence(Some(state)) if state.len() > PRESENCE_BYTES_MAX => Err(BadFrame),
        Up::Hello(_) | Up::Push(_) | Up::Next(_) | Up::Pool(_) | Up::Read(_) | Up::Presence(_) => {
            Ok(frame)
        }
    }
}

/// Encodes what an authority says; `changes` is what [`encode_changes`] made, for a page or a delta.
#[must_use]
pub fn encode_down(frame: &Down, changes: &[u8]) -> Box<[u8]> {
    let mut bytes = encode(frame);
    bytes.extend_from_slice(changes);
    bytes.into()
}

/// Decodes what an authority says; without rows where the frame has none. Those of a page of catch-up are not looked at:
/// see [`peek_changes`].
///
/// # Errors
/// When the bytes are no frame.
pub fn decode_down(bytes: &[u8]) -> Result<(Down, Changes<'_>), BadFrame> {
    let mut from = Reader::new(bytes);
    let frame = Down::take(&mut from)?;
    let rest = from.rest();
    match frame {
        Down::Page(_) => Ok((frame, peek_changes(rest)?)),
        Down::Delta(_)
        | Down::Pool(PoolDown { news: PoolNews::Page { .. } | PoolNews::Delta { .. }, .. }) => {
            Ok((frame, decode_changes(rest)?))
        }
        Down::Welcome(_) | Down::Behind | Down::Pool(_) | Down::Presence(_) | Down::Rates(_) => {
            if rest.is_empty() {
                Ok((frame, Changes::default()))
            } else {
                Err(BadFrame)
            }
        }
    }
}

/// Encodes a value that is stored: one byte of format, then the value.
#[must_use]
pub fn encode_stored<'a, T: Layout<'a>>(value: &T) -> Vec<u8> {
    let mut bytes = alloc::vec![STORED_FORMAT];
    value.put(&mut bytes);
    bytes
}

/// Decodes a stored value.
///
/// # Errors
/// When the bytes are of another format or torn.
pub fn decode_stored<'a, T: Layout<'a>>(bytes: &'a [u8]) -> Result<T, BadFrame> {
    match bytes.split_first() {
        Some((&STORED_FORMAT, rest)) => decode(rest),
        _ => Err(BadFrame),
    }
}

/// The format of stored values. It moves with the shape of any of them, so that none is ever misread.
const STORED_FORMAT: u8 = 1;

/// Whether bytes are a stored value of another format than this code writes.
#[must_use]
pub fn is_foreign(bytes: &[u8]) -> bool {
    bytes.first() != Some(&STORED_FORMAT)
}

fn encode<'a, T: Layout<'a>>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.put(&mut bytes);
    bytes
}

/// Decodes a value and nothing else: bytes that go on are of another shape than this code gives them.
fn decode<'a, T: Layout<'a>>(bytes: &'a [u8]) -> Result<T, BadFrame> {
    let mut from = Reader::new(bytes);
    let value = T::take(&mut from)?;
    if from.rest().is_empty() { Ok(value) } else { Err(BadFrame) }
}
