//! Strings from outside: borrowed while they can be, and made safe to show.
//! A name may carry terminal escapes or right-to-left marks; nothing prints one unescaped (H117).

use std::{borrow::Cow, fmt, ops::Deref};

use serde::{Deserialize, Deserializer, de};

/// A JSON string that borrows from the body unless it holds escapes. Unlike a plain `Cow` it also borrows inside maps, lists and options.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Str<'a>(pub Cow<'a, str>);

impl Deref for Str<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}
impl fmt::Display for Str<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl<'a> From<&'a str> for Str<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}
impl<'de: 'a, 'a> Deserialize<'de> for Str<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Str<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E: de::Error>(self, v: &'de str) -> Result<Self::Value, E> {
                Ok(Str(Cow::Borrowed(v)))
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Self::Value, E> {
                Ok(Str(Cow::Owned(v.to_owned())))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

/// Whether every byte is one of those. With no way out at the first that is not, so that many are looked at together.
pub fn every(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    text.bytes().fold(true, |all, b| all & allowed(b))
}

/// `text` with whatever could move a cursor or reorder a line escaped, cut to `max` bytes on a character boundary with `…`.
pub fn shown(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    // Where the text can be cut so that the mark of the cut fits too.
    let mut fits = 0;
    for c in text.chars() {
        if c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}') {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
        if out.len() > max {
            out.truncate(fits);
            out.push('…');
            break;
        }
        if out.len() + '…'.len_utf8() <= max {
            fits = out.len();
        }
    }
    out
}

/// `a, b and 3 more`: the first so many of a list.
pub fn listed(names: &[&str], most: usize) -> String {
    let first = names.iter().take(most).copied().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(most) {
        None | Some(0) => first,
        Some(more) => format!("{first} and {more} more"),
    }
}

/// The first `n` bytes of a hash, as text.
pub fn hex(hash: &[u8], n: usize) -> String {
    hash.iter().take(n).map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_moves_a_cursor_and_cuts_on_a_boundary() {
        for (text, max, expected) in [("web", 10, "web"), ("a\u{1b}[31mb", 40, "a\\u{1b}[31mb"), ("a\nb", 40, "a\\u{a}b"), ("a\u{202e}b", 40, "a\\u{202e}b")] {
            assert_eq!(shown(text, max), expected, "{text:?}");
        }
        for max in 4..40 {
            let cut = shown(&"ä\u{202e}x".repeat(20), max);
            assert!(cut.len() <= max && cut.ends_with('…'), "{cut} at {max}");
            assert_eq!(shown(&"x".repeat(max), max), "x".repeat(max), "what fits is whole");
        }
    }
}
