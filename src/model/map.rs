//! Labels and annotations: a sorted list, borrowed from the body where they can be.
//! They are few and looked through once, so a list costs a review less than a tree's nodes do.

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess},
};

use super::text::Str;

/// Labels or annotations, sorted by key; of a key that comes twice the last counts, as in Go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map<'a>(Vec<(Str<'a>, Str<'a>)>);

impl<'a> Map<'a> {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(k, _)| *k == key).map(|(_, v)| v)
    }

    /// Whether there is such a key.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (&**k, &**v))
    }

    fn sorted(mut pairs: Vec<(Str<'a>, Str<'a>)>) -> Self {
        // The API server writes them in order.
        if !pairs.is_sorted_by(|(a, _), (b, _)| a < b) {
            pairs.reverse();
            pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
            pairs.dedup_by(|(later, _), (kept, _)| later == kept);
        }
        Self(pairs)
    }
}

impl FromIterator<(String, String)> for Map<'static> {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self::sorted(pairs.into_iter().map(|(k, v)| (Str(k.into()), Str(v.into()))).collect())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Map<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Map<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a mapping of texts")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Map::sorted(pairs))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::Map;

    #[test]
    fn keys_are_in_order_and_of_two_the_last_counts() {
        for (json, said) in [
            ("{}", ""),
            (r#"{"a":"1","b":"2"}"#, "a=1 b=2"),
            (r#"{"b":"2","a":"1"}"#, "a=1 b=2"),
            (r#"{"a":"1","a":"2"}"#, "a=2"),
            (r#"{"b":"1","a":"2","b":"3","a":"4","b":"5"}"#, "a=4 b=5"),
        ] {
            let map: Map<'_> = serde_json::from_str(json).unwrap();
            let shown: Vec<_> = map.iter().map(|(k, v)| format!("{k}={v}")).collect();
            assert_eq!(shown.join(" "), said, "{json}");
        }
        let owned: Map<'_> = [("team", "shop"), ("app", "web")].map(|(k, v)| (k.to_owned(), v.to_owned())).into_iter().collect();
        assert_eq!((owned.get("team"), owned.get("tea"), owned.contains_key("app")), (Some("shop"), None, true));
        for nonsense in ["null", "[]", "1", r#"{"a":1}"#, r#"{"a":null}"#] {
            assert!(serde_json::from_str::<Map<'_>>(nonsense).is_err(), "{nonsense}");
        }
    }
}
