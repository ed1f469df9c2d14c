//! Objects as an API server reads them: only a mapping is one. What serde derives for a struct also takes a list, field by position, and of a list that is
//! too short the defaults: nobody writes that, but whoever does would be judged by an object that stands nowhere.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, EnumAccess, Error, MapAccess, SeqAccess, Visitor},
    forward_to_deserialize_any,
};

/// What a list is called that need not be read where an API server has read it: [`Strict`] reads all of it.
pub const WHOLE: &str = "demarc::Whole";

/// Reads like the deserializer that it holds, however deep, but takes a mapping alone where an object belongs.
pub struct Strict<T>(pub T);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(Strict(visitor))
    }
    fn deserialize_struct<V: Visitor<'de>>(self, _: &'static str, _: &'static [&'static str], visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(Strict(visitor))
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_option(Strict(visitor))
    }
    // By its name serde_json knows what is wanted as text.
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        if name == WHOLE { self.0.deserialize_seq(Strict(visitor)) } else { self.0.deserialize_newtype_struct(name, Strict(visitor)) }
    }
    fn deserialize_enum<V: Visitor<'de>>(self, name: &'static str, variants: &'static [&'static str], visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_enum(name, variants, Strict(visitor))
    }
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_ignored_any(visitor)
    }
    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map identifier
    }
}

macro_rules! scalars {
    ($($visit:ident $type:ty;)+) => {
        $(fn $visit<E: Error>(self, v: $type) -> Result<V::Value, E> { self.0.$visit(v) })+
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Strict<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }
    scalars! {
        visit_bool bool;
        visit_i64 i64;
        visit_u64 u64;
        visit_f64 f64;
        visit_str &str;
        visit_borrowed_str &'de str;
        visit_string String;
    }
    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }
    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Strict(deserializer))
    }
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Strict(deserializer))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Strict(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Strict(map))
    }
    // Variants are words: there is nothing inside.
    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(variant)
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Strict<A> {
    type Error = A::Error;
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        self.0.next_element_seed(Strict(seed))
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Strict<A> {
    type Error = A::Error;
    fn next_key_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        self.0.next_key_seed(Strict(seed))
    }
    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.0.next_value_seed(Strict(seed))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Strict<S> {
    type Value = S::Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Strict(deserializer))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::{Value, value::RawValue};

    use super::Strict;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default)]
    struct Inner {
        n: i64,
        hosts: Vec<String>,
    }
    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default)]
    struct Outer<'a> {
        inner: Option<Inner>,
        list: Vec<Inner>,
        word: Option<Word>,
        float: Option<f64>,
        #[serde(borrow)]
        text: Option<&'a str>,
        #[serde(borrow)]
        map: std::collections::BTreeMap<&'a str, Inner>,
    }
    #[derive(Debug, Deserialize, PartialEq)]
    enum Word {
        Yes,
    }

    #[test]
    fn a_list_is_no_object_at_any_depth_and_all_else_reads_as_without() {
        for json in ["[]", r#"{"inner":[]}"#, r#"{"inner":[1,[]]}"#, r#"{"list":[[]]}"#, r#"{"list":[{},[1]]}"#, r#"{"map":{"a":[]}}"#] {
            assert!(serde_json::from_str::<Outer<'_>>(json).is_ok(), "what this is for: {json}");
            let said = Outer::deserialize(Strict(&mut serde_json::Deserializer::from_str(json))).unwrap_err().to_string();
            assert!(said.contains("invalid type: sequence, expected struct"), "{json}: {said}");
            let tree: Value = serde_json::from_str(json).unwrap();
            assert!(Outer::deserialize(Strict(&tree)).is_err(), "{json}");
        }
        for json in [
            "{}",
            r#"{"inner":null,"word":null,"float":1,"text":"t","unknown":[[],{}]}"#,
            r#"{"inner":{"n":-1,"hosts":["a"]},"list":[{"n":2}],"word":"Yes","float":1.5,"map":{"a":{}}}"#,
            r#"{"inner":{"n":"x"}}"#,
            r#"{"word":"No"}"#,
            r#"{"word":{"Yes":1}}"#,
            r#"{"float":1e400}"#,
            r#"{"list":{}}"#,
            "null",
            "{",
        ] {
            let (strict, as_ever) = (Outer::deserialize(Strict(&mut serde_json::Deserializer::from_str(json))), serde_json::from_str::<Outer<'_>>(json));
            assert_eq!(strict.as_ref().ok(), as_ever.as_ref().ok(), "{json}");
            assert_eq!(strict.is_err(), as_ever.is_err(), "{json}");
        }
        let raw = <&RawValue>::deserialize(Strict(&mut serde_json::Deserializer::from_str("[[1], {}]"))).unwrap();
        assert_eq!(raw.get(), "[[1], {}]");
    }
}
