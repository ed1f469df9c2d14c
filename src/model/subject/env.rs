//! Variables and data whose plain values look like credentials; all others are passed over while they are read.
//! What is kept is the name and how it was recognised, never a value.

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess},
};
use serde_json::value::RawValue;

use crate::model::{
    credential::{self, Sign},
    strict::WHOLE,
    text::Str,
};

/// A plain value that looks like a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plain<'a> {
    /// The variable's name, or the key.
    pub name: Str<'a>,
    /// How it was recognised.
    pub sign: Sign,
}

/// A container's `env`.
#[derive(Debug, Default)]
pub struct Env<'a>(pub Vec<Plain<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Env<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Variable<'a> {
            #[serde(borrow)]
            name: Str<'a>,
            /// Absent beside `valueFrom`.
            #[serde(borrow)]
            value: Option<Str<'a>>,
        }
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Env<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of variables")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut found = Vec::new();
                while let Some(variable) = list.next_element::<Variable<'de>>()? {
                    let sign = variable.value.as_ref().and_then(|value| Sign::of_variable(&variable.name, value));
                    found.extend(sign.map(|sign| Plain { name: variable.name, sign }));
                }
                Ok(Env(found))
            }
            /// As an API server has read it: a list that gives nothing away is not read at all.
            fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
                let list = <&RawValue>::deserialize(deserializer)?.get();
                if list.starts_with('[') && !credential::may_hold(list) {
                    return Ok(Env::default());
                }
                // Read by itself: a place in it is no place in the object.
                serde_json::Deserializer::from_str(list).deserialize_seq(self).map_err(|error| {
                    let said = error.to_string();
                    D::Error::custom(said.rsplit_once(" at line ").map_or(&*said, |(what, _)| what))
                })
            }
        }
        deserializer.deserialize_newtype_struct(WHOLE, Visitor)
    }
}

/// A ConfigMap's `data`.
#[derive(Debug, Default)]
pub struct Data<'a>(pub Vec<Plain<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Data<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Data<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a mapping to texts")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut found = Vec::new();
                while let Some((name, text)) = map.next_entry::<Str<'de>, Option<Str<'de>>>()? {
                    found.extend(text.and_then(|t| Sign::of_text(&t)).map(|sign| Plain { name, sign }));
                }
                Ok(Data(found))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}
