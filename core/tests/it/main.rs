//! All of the crate's tests that need more than one module, in one binary.

mod golden;
mod props;
mod spec;
mod tidy;
// The example of the same name uses the rest of it.
#[allow(dead_code)]
mod sim;
