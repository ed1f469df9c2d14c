//! Properties, over generated and mutated input: bytes → verdicts, and expression → value. `entry` says what must hold; here is what it must hold of.
//! `PROPTEST_CASES` makes it as long as one likes; the fuzz targets in `fuzz/` go on where this ends.

#![allow(clippy::unwrap_used)]

mod entry;
mod expressions;
mod grammar;
mod large;
mod reviews;
