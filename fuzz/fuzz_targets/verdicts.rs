//! Bytes → verdicts: what tests/properties/entry.rs says of any bytes that the webhook is sent.

#![no_main]

#[path = "../../tests/properties/entry.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    entry::verdicts(body);
});
