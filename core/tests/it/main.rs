//! All of the crate's tests that need more than one module, in one binary.

// Tests panic where something is wrong, and may take the rest of an enum together.
#![allow(clippy::wildcard_enum_match_arm, clippy::needless_range_loop)]

mod archive;
mod ends;
mod forgotten;
mod forsaken;
mod frozen;
mod golden;
mod ground;
mod laws;
mod led;
mod lives;
mod pace;
mod pools;
mod presence;
mod props;
mod spec;
mod store;
mod tabs;
mod tidy;
mod torn;
// The example of the same name uses the rest of it.
#[allow(dead_code)]
mod sim;
