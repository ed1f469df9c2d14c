//! Source, before the parser sees it: what the parser would read otherwise than cel-go, or only by recursing too deep, is refused here.

use std::{iter::Peekable, str::Chars};

use super::{MAX_DEPTH, Refusal};

fn refused<T>(why: &str) -> Result<T, Refusal> {
    Err(Refusal::new(why))
}

/// The parser recurses on every bracket and sign before its own limit stands; it drops signs in pairs, takes `existsOne` for `exists_one`, and a
/// name in backticks with them.
pub(super) fn scanned(source: &str) -> Result<(), Refusal> {
    let (mut depth, mut choices, mut signs) = (0_u16, 0_u16, 0_u16);
    let mut word = String::new();
    let mut rest = source.chars().peekable();
    while let Some(c) = rest.next() {
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
            signs = 0;
            continue;
        }
        let raw = matches!(&*word, "r" | "R");
        if word == "existsOne" {
            return refused("existsOne is not taken; write exists_one");
        }
        word.clear();
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '?' => choices += 1,
            '/' if rest.peek() == Some(&'/') => return refused("comments are not taken"),
            '\'' | '"' => text(c, raw, &mut rest)?,
            '`' => return refused("names in backticks are not taken"),
            c if c.is_control() && !matches!(c, '\n' | '\t') => return refused("a control character is not taken"),
            _ => {}
        }
        signs = match c {
            '!' | '-' => signs + 1,
            c if c.is_whitespace() => signs,
            _ => 0,
        };
        if depth > MAX_DEPTH || choices > MAX_DEPTH {
            return refused("nested too deeply");
        }
        if signs > 1 {
            return refused("two signs in a row are not taken");
        }
    }
    Ok(())
}

/// Passes over a text that has begun.
fn text(quote: char, raw: bool, rest: &mut Peekable<Chars<'_>>) -> Result<(), Refusal> {
    if rest.peek() == Some(&quote) {
        rest.next();
        return if rest.peek() == Some(&quote) { refused("triple quotes are not taken") } else { Ok(()) };
    }
    while let Some(c) = rest.next() {
        match c {
            c if c == quote => return Ok(()),
            '\n' => return refused("a text that goes over lines is not taken"),
            // Of the other quote the parser keeps the backslash.
            '\\' if !raw => match rest.next() {
                Some(escaped @ ('\'' | '"')) if escaped != quote => return refused("the other quote needs no backslash"),
                _ => {}
            },
            '\\' if rest.peek() == Some(&quote) => return refused("a raw text does not end in a backslash"),
            _ => {}
        }
    }
    refused("a text does not end")
}
