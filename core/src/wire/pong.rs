//! The text that a ping is answered with, without waking the authority: what its sessions can hold
//! against what they have heard.

use alloc::{format, string::String};

use crate::{
    datastore::Meta,
    id::{Epoch, Seq},
};

/// The text that it answers.
pub const PING: &str = "ping";

/// How far a datastore has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pong {
    /// This incarnation.
    pub epoch: Epoch,
    /// The newest seq.
    pub head: Seq,
    /// How many items were ever added to pools.
    pub added: u64,
}

impl Pong {
    /// How far a stored state has come.
    #[must_use]
    pub const fn of(meta: &Meta) -> Pong {
        Pong { epoch: meta.epoch, head: meta.head, added: meta.added }
    }

    /// Writes the text.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{}:{}:{}", self.epoch.to_hex(), self.head.0, self.added)
    }

    /// Reads the text; another one says nothing.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Pong> {
        let (epoch, rest) = part(text)?;
        let (head, added) = part(rest)?;
        let (epoch, head) = (Epoch::from_hex(epoch)?, Seq(number(head)?));
        Some(Pong { epoch, head, added: number(added)? })
    }
}

/// What stands before the first colon, and what behind it. By hand, like the numbers: the standard library's
/// way is four times as long, and every browser loads it.
fn part(text: &str) -> Option<(&str, &str)> {
    let place = text.bytes().position(|byte| byte == b':')?;
    Some((text.get(..place)?, text.get(place + 1..)?))
}

fn number(text: &str) -> Option<u64> {
    let digit = |byte: u8| char::from(byte).to_digit(10).map(u64::from);
    let digits = Some(text).filter(|text| (1..=16).contains(&text.len()))?;
    digits.bytes().try_fold(0, |number, byte| Some(number * 10 + digit(byte)?))
}
