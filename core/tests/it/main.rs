//! All of the crate's tests that need more than one module, in one binary.

mod sim;
