//! One page of a list, told object by object while it is read: parsed as a whole it takes some ten times its text, and what it took is never given back.
//! kube's own list does that, reads each object twice over, and writes a page that it cannot read to the log, values and all.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, ObjectMeta};
use kube::{
    Api,
    api::{DynamicObject, ListParams, TypeMeta},
    core::Request,
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::{Map, Value};

/// What is wanted of each object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Want {
    /// All but who wrote what: nobody reads that, and it may be half of an object.
    #[default]
    Object,
    /// That as well.
    Origins,
    /// Its metadata alone.
    Metadata,
}

/// Asks for a page, and tells each object of it.
pub(super) async fn page(api: &Api<DynamicObject>, want: Want, params: &ListParams, sink: &mut (impl FnMut(DynamicObject) + Send)) -> Result<ListMeta, kube::Error> {
    let request = Request::new(api.resource_url());
    let request = if want == Want::Metadata { request.list_metadata(params) } else { request.list(params) }.map_err(kube::Error::BuildRequest)?;
    let text = api.clone().into_client().request_text(request).await?;
    if want == Want::Origins { read::<true>(&text, sink) } else { read::<false>(&text, sink) }.map_err(kube::Error::SerdeError)
}

fn read<const ORIGINS: bool>(text: &str, sink: &mut impl FnMut(DynamicObject)) -> Result<ListMeta, serde_json::Error> {
    let mut from = serde_json::Deserializer::from_str(text);
    let meta = from.deserialize_map(List::<_, ORIGINS>(sink))?;
    from.end()?;
    Ok(meta)
}

struct List<'s, S, const ORIGINS: bool>(&'s mut S);

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Field {
    Metadata,
    Items,
    #[serde(other)]
    Other,
}

impl<'de, S: FnMut(DynamicObject), const ORIGINS: bool> Visitor<'de> for List<'_, S, ORIGINS> {
    type Value = ListMeta;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ListMeta, A::Error> {
        let (mut meta, mut listed) = (ListMeta::default(), false);
        while let Some(field) = map.next_key()? {
            match field {
                Field::Metadata => meta = map.next_value()?,
                Field::Items => {
                    map.next_value_seed(Items::<_, ORIGINS>(&mut *self.0))?;
                    listed = true;
                }
                Field::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        // What says nothing of objects does not say that there are none.
        if listed { Ok(meta) } else { Err(A::Error::missing_field("items")) }
    }
}

struct Items<'s, S, const ORIGINS: bool>(&'s mut S);

impl<'de, S: FnMut(DynamicObject), const ORIGINS: bool> DeserializeSeed<'de> for Items<'_, S, ORIGINS> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de, S: FnMut(DynamicObject), const ORIGINS: bool> Visitor<'de> for Items<'_, S, ORIGINS> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the objects of a list")
    }

    // As Go writes an empty list.
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(Item::<ORIGINS>(object)) = seq.next_element()? {
            (self.0)(object);
        }
        Ok(())
    }
}

/// An object, read once: its own `Deserialize` keeps all of it aside to look for fields that it knows.
struct Item<const ORIGINS: bool>(DynamicObject);

impl<'de, const ORIGINS: bool> Deserialize<'de> for Item<ORIGINS> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Fields<const ORIGINS: bool>;
        impl<'de, const ORIGINS: bool> Visitor<'de> for Fields<ORIGINS> {
            type Value = Item<ORIGINS>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item<ORIGINS>, A::Error> {
                let (mut api_version, mut kind, mut metadata, mut data) = (None, None, ObjectMeta::default(), Map::new());
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "apiVersion" => api_version = Some(map.next_value()?),
                        "kind" => kind = Some(map.next_value()?),
                        "metadata" if ORIGINS => metadata = map.next_value()?,
                        "metadata" => Bare(metadata) = map.next_value()?,
                        _ => drop(data.insert(key, map.next_value()?)),
                    }
                }
                let types = api_version.zip(kind).map(|(api_version, kind)| TypeMeta { api_version, kind });
                Ok(Item(DynamicObject { types, metadata, data: Value::Object(data) }))
            }
        }
        from.deserialize_map(Fields::<ORIGINS>)
    }
}

/// Metadata without managedFields.
struct Bare(ObjectMeta);

impl<'de> Deserialize<'de> for Bare {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Bare;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("metadata")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Bare, A::Error> {
                ObjectMeta::deserialize(MapAccessDeserializer::new(Passing(map))).map(Bare)
            }
        }
        from.deserialize_map(Fields)
    }
}

/// Passes over managedFields.
struct Passing<A>(A);

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Passing<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.0.next_key::<String>()? {
            if key != "managedFields" {
                return seed.deserialize(key.into_deserializer()).map(Some);
            }
            self.0.next_value::<IgnoredAny>()?;
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.0.next_value_seed(seed)
    }
}

#[cfg(test)]
mod tests {
    use kube::core::ObjectList;
    use serde_json::json;

    use super::*;

    fn told(text: &str) -> (Result<ListMeta, String>, Vec<DynamicObject>) {
        let mut objects = Vec::new();
        let meta = read::<true>(text, &mut |object| objects.push(object)).map_err(|e| e.to_string());
        (meta, objects)
    }

    #[test]
    fn it_tells_what_kubes_own_list_holds() {
        let meta = json!({"name": "web", "uid": "1", "labels": {"a": "b"}, "managedFields": [{"manager": "kubectl", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}}}]});
        for items in [
            json!([]),
            json!([{"metadata": meta, "spec": {"replicas": 1, "items": [1]}, "status": {}}, {"metadata": {"name": "db"}}]),
            json!([{"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": meta, "spec": {"kind": "x"}}]),
            json!([{}]),
        ] {
            let list = json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "7", "continue": "more", "remainingItemCount": 2}, "items": items});
            let theirs: ObjectList<DynamicObject> = serde_json::from_value(list.clone()).unwrap();
            let (meta, mut objects) = told(&list.to_string());
            assert_eq!((meta.unwrap(), &objects), (theirs.metadata, &theirs.items), "{list}");
            let mut bare = Vec::new();
            read::<false>(&list.to_string(), &mut |object| bare.push(object)).unwrap();
            for object in &mut objects {
                object.metadata.managed_fields = None;
            }
            assert_eq!(bare, objects, "{list}: nothing but who wrote what is passed over");
        }
        assert!(told(r#"{"metadata": {}, "items": null}"#).0.is_ok(), "as Go writes an empty list");
    }

    #[test]
    fn what_is_no_list_is_not_an_empty_one() {
        for nonsense in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"items": {}}"#,
            r#"{"items": 1}"#,
            r#"{"items": []} more"#,
            r#"{"items": [{"metadata": 1}]}"#,
            r#"{"items": ["#,
            r#"{"kind": "Status", "metadata": {}}"#,
        ] {
            assert!(told(nonsense).0.is_err(), "{nonsense}");
        }
        let (meta, objects) = told(r#"{"items": [{"metadata": {"name": "web"}}, 1]}"#);
        assert!(meta.is_err() && objects.len() == 1, "one that cannot be read fails the page, and what came before it is known");
    }
}
