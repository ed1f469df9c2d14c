//! Texts that many findings and objects share, kept once: ten thousand manifests say the same few sentences.

use std::{collections::HashSet, fmt, ops::Deref, rc::Rc};

use serde::{Serialize, Serializer};

/// A text that others may hold as well.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Word(Rc<str>);

impl From<String> for Word {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}
impl Deref for Word {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}
impl std::borrow::Borrow<str> for Word {
    fn borrow(&self) -> &str {
        &self.0
    }
}
impl PartialEq<&str> for Word {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}
impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}
impl Serialize for Word {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

/// All texts so far.
#[derive(Debug, Default)]
pub struct Words(HashSet<Word>);

impl Words {
    /// The same text, kept once.
    pub fn once(&mut self, word: Word) -> Word {
        match self.0.get(&*word) {
            Some(known) => known.clone(),
            None => {
                self.0.insert(word.clone());
                word
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_is_kept_once() {
        let mut words = Words::default();
        let [one, other, same] = ["web", "db", "web"].map(|text| words.once(Word::from(text.to_owned())));
        assert!(Rc::ptr_eq(&one.0, &same.0) && !Rc::ptr_eq(&one.0, &other.0));
        assert_eq!((serde_json::to_string(&same).unwrap(), same.to_string()), ("\"web\"".to_owned(), "web".to_owned()));
    }
}
