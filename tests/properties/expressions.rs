//! Expressions: grown from a grammar near the one that compiles, and with letters of them changed.

use proptest::{collection::vec, prelude::*, sample::Index};

use crate::{entry::expression, grammar::grow};

fn grown() -> impl Strategy<Value = String> {
    vec(any::<u8>(), 0..120).prop_map(|bytes| grow(&bytes))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_expression_is_refused_or_answered_and_an_error_is_never_a_value(source in grown()) {
        expression(&source);
    }

    #[test]
    fn an_expression_with_letters_of_it_changed_is_refused_or_answered(source in grown(), at in any::<Index>(), cut in 0..4usize, new in ".{0,3}") {
        let mut letters: Vec<char> = source.chars().collect();
        let at = at.index(letters.len() + 1);
        let end = (at + cut).min(letters.len());
        letters.splice(at..end, new.chars());
        expression(&letters.into_iter().collect::<String>());
    }

    #[test]
    fn text_that_never_was_an_expression_is_refused_or_answered(source in ".{0,60}") {
        expression(&source);
    }
}

/// Else the properties would hold of nothing.
#[test]
fn a_good_part_of_what_is_grown_compiles() {
    let bytes = |seed: u32| (0..100u32).map(move |i| (seed.wrapping_mul(2_654_435_761).wrapping_add(i.wrapping_mul(40_503)) >> 7).to_le_bytes()[0]).collect::<Vec<u8>>();
    let compiles = (0..300).filter(|seed| expression(&grow(&bytes(*seed)))).count();
    assert!(compiles > 60, "only {compiles} of 300");
}
