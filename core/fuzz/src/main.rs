//! One fuzzer for all targets: `NEAP_FUZZ` names the one to run.
#![no_main]
#![allow(unsafe_code)]

mod cap;
mod targets;

use std::sync::OnceLock;

use targets::Target;

#[global_allocator]
static ALLOCATOR: cap::Counting = cap::Counting;

static TARGET: OnceLock<Target> = OnceLock::new();

fn named() -> Target {
    let name = std::env::var("NEAP_FUZZ").unwrap_or_default();
    let names = targets::ALL.map(|target| target.name).join(" ");
    let found = targets::ALL.into_iter().find(|target| target.name == name);
    found.unwrap_or_else(|| panic!("NEAP_FUZZ must be one of: {names}"))
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET.get_or_init(named).check(data));
