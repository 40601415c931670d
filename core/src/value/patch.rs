//! JSON Merge Patch (RFC 7396) on text, so that numbers and strings keep the bytes they had.

use alloc::{borrow::Cow, string::String, vec::Vec};

use super::{Reader, unescape};
use crate::order::order;

/// A member of an object: its name as it stands, escapes included, and its value.
#[derive(Clone, Copy)]
struct Member<'a> {
    name: &'a str,
    value: &'a str,
}

/// Applies a merge patch to an object (RFC 7396, section 2). Both must have been checked by
/// [`super::check_object`]. Members keep their places, new ones follow in the patch's order.
#[must_use]
pub fn merge_patch(target: &str, patch: &str) -> String {
    let mut out = String::with_capacity(target.len() + patch.len());
    merge(target, patch, &mut out);
    out
}

fn merge(target: &str, patch: &str, out: &mut String) {
    let changes = members(patch);
    let names: Vec<Cow<'_, str>> = changes.iter().map(|change| unescape(change.name)).collect();
    // Names in order, so that large objects are merged in n log n.
    let index = order(names.len(), &|one, other| names.get(one).cmp(&names.get(other)));
    let mut used = alloc::vec![false; changes.len()];

    let mut object = Object::begin(out);
    for member in members(target) {
        let name = unescape(member.name);
        let is_at = |place: &usize| names.get(*place).map(AsRef::as_ref).cmp(&Some(name.as_ref()));
        let change = index.binary_search_by(is_at).ok().and_then(|found| index.get(found).copied());
        match change.and_then(|place| Some((changes.get(place)?, used.get_mut(place)?))) {
            None => object.put(member.name, |out| out.push_str(member.value)),
            Some((change, used)) => {
                *used = true;
                put_change(&mut object, member.name, member.value, change.value);
            }
        }
    }
    for (change, used) in changes.iter().zip(used) {
        if !used {
            put_change(&mut object, change.name, "{}", change.value);
        }
    }
    object.end();
}

/// Writes what a change makes of a member: nothing where it is null.
fn put_change(object: &mut Object<'_>, name: &str, before: &str, change: &str) {
    if change == "null" {
        return;
    }
    object.put(name, |out| {
        if change.starts_with('{') {
            let before = if before.starts_with('{') { before } else { "{}" };
            merge(before, change, out);
        } else {
            out.push_str(change);
        }
    });
}

/// An object that is being written.
struct Object<'a> {
    out: &'a mut String,
    empty: bool,
}

impl<'a> Object<'a> {
    fn begin(out: &'a mut String) -> Self {
        out.push('{');
        Object { out, empty: true }
    }

    fn put(&mut self, name: &str, value: impl FnOnce(&mut String)) {
        if !self.empty {
            self.out.push(',');
        }
        self.empty = false;
        self.out.push('"');
        self.out.push_str(name);
        self.out.push_str("\":");
        value(self.out);
    }

    fn end(self) {
        self.out.push('}');
    }
}

/// Splits a checked object into its members.
fn members(text: &str) -> Vec<Member<'_>> {
    let mut reader = Reader::new(text, None);
    let mut members = Vec::new();
    reader.at = 1;
    while reader.peek().is_some_and(|byte| byte == b'"') {
        let Ok(name) = reader.string() else { break };
        reader.at += 1;
        let start = reader.at;
        if reader.value(1).is_err() {
            break;
        }
        members.push(Member { name, value: reader.slice(start..reader.at) });
        reader.at += 1;
    }
    members
}
