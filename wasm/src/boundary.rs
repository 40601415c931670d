//! The boundary itself. An instance of this module is one replica: numbers cross as they are, texts and
//! bytes through a buffer for each direction. All that is unsafe about it is that there is one thread, and
//! that JavaScript finds the exports by their names.
#![expect(unsafe_code, reason = "a static with a cell")]

use alloc::vec::Vec;
use core::{
    cell::{RefCell, RefMut},
    str,
};

use crate::{Core, convert::PIECE_BYTES};

/// What lives in an instance.
struct Instance {
    core: Option<Core>,
    /// What JavaScript hands over with the next call.
    input: Vec<u8>,
}

struct Alone<T>(T);

// SAFETY: the module is built for wasm32-unknown-unknown, where an instance has one thread; natively only
// tests are built, and they do not touch it.
unsafe impl<T> Sync for Alone<T> {}

static INSTANCE: Alone<RefCell<Instance>> =
    Alone(RefCell::new(Instance { core: None, input: Vec::new() }));

/// Every export begins with this, so it stands apart.
#[inline(never)]
fn lend() -> RefMut<'static, Instance> {
    INSTANCE.0.borrow_mut()
}

/// What has crossed with a call: texts and bytes, one after the other.
pub(crate) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(crate) fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (bytes, rest) = self.rest.split_at_checked(length).unwrap_or((&[], &[]));
        self.rest = rest;
        bytes
    }

    /// JavaScript encodes texts by itself, so they are UTF-8.
    pub(crate) fn text(&mut self, length: usize) -> &'a str {
        str::from_utf8(self.bytes(length)).unwrap_or("")
    }

    /// A text that may be left out: then its length is below zero.
    pub(crate) fn option(&mut self, length: i32) -> Option<&'a str> {
        usize::try_from(length).ok().map(|length| self.text(length))
    }
}

/// Gives room for what the next call takes. It stays, but for rare large things.
pub(crate) fn input(length: usize) -> *mut u8 {
    let input = &mut lend().input;
    if input.len() > PIECE_BYTES {
        *input = Vec::new();
    }
    if input.len() < length {
        *input = alloc::vec![0; length];
    }
    input.as_mut_ptr()
}

/// Brings the replica of this instance to life.
pub(crate) fn start(make: impl FnOnce(&mut Input<'_>) -> Core) {
    let Instance { core, input } = &mut *lend();
    // It lives as long as the instance: nothing here takes it apart.
    core.get_or_insert_with(|| make(&mut Input { rest: input }));
}

/// Asks the replica of this instance. A trap leaves it borrowed, so that nobody asks it again.
pub(crate) fn ask<T: Default>(ask: impl FnOnce(&mut Core, &mut Input<'_>) -> T) -> T {
    let Instance { core, input } = &mut *lend();
    core.as_mut().map_or_else(T::default, |core| ask(core, &mut Input { rest: input }))
}

/// The same with what has crossed, so many bytes, for its own.
pub(crate) fn hand_over(length: usize, ask: impl FnOnce(&mut Core, Vec<u8>) -> bool) -> bool {
    let Instance { core, input } = &mut *lend();
    let mut bytes = core::mem::take(input);
    bytes.truncate(length);
    core.as_mut().is_some_and(|core| ask(core, bytes))
}

/// Exports functions under the names by which JavaScript calls them. Each asks the replica; what crosses
/// as text or bytes stands in the input, and its length among the arguments.
macro_rules! exports {
    ($(
        $(#[$about:meta])*
        $name:literal fn $rust:ident($core:ident, $input:ident $(, $argument:ident: $kind:ty)*)
            $(-> $answer:ty)? $body:block
    )*) => {$(
        $(#[$about])*
        #[cfg_attr(target_arch = "wasm32", unsafe(export_name = $name))]
        pub extern "C" fn $rust($($argument: $kind),*) $(-> $answer)? {
            $crate::boundary::ask(|$core, $input| $body)
        }
    )*};
}
pub(crate) use exports;
