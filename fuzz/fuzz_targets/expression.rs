//! Expression → value: what tests/properties/entry.rs says of any expression that somebody writes, as text and as grown from the same bytes.

#![no_main]

#[path = "../../tests/properties/entry.rs"]
mod entry;
#[path = "../../tests/properties/grammar.rs"]
mod grammar;

use std::{panic, thread};

libfuzzer_sys::fuzz_target!(init: {
    // A panic of the parser is a refusal, and happens on a thread of its own, which has no name: it is none of what is looked for.
    let ends = panic::take_hook();
    panic::set_hook(Box::new(move |info| if thread::current().name() == Some("main") { ends(info) }));
}, |bytes: &[u8]| {
    entry::expression(&grammar::grow(bytes));
    if let Ok(text) = std::str::from_utf8(bytes) {
        entry::expression(text);
    }
});
