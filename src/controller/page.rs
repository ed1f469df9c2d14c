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
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// Asks for a page, and tells each object of it; of metadata alone where nothing else is wanted.
pub(super) async fn page(api: &Api<DynamicObject>, metadata: bool, params: &ListParams, sink: &mut (impl FnMut(DynamicObject) + Send)) -> Result<ListMeta, kube::Error> {
    let request = Request::new(api.resource_url());
    let request = if metadata { request.list_metadata(params) } else { request.list(params) }.map_err(kube::Error::BuildRequest)?;
    let text = api.clone().into_client().request_text(request).await?;
    read(&text, sink).map_err(kube::Error::SerdeError)
}

fn read(text: &str, sink: &mut impl FnMut(DynamicObject)) -> Result<ListMeta, serde_json::Error> {
    let mut from = serde_json::Deserializer::from_str(text);
    let meta = from.deserialize_map(List(sink))?;
    from.end()?;
    Ok(meta)
}

struct List<'s, S>(&'s mut S);

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Field {
    Metadata,
    Items,
    #[serde(other)]
    Other,
}

impl<'de, S: FnMut(DynamicObject)> Visitor<'de> for List<'_, S> {
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
                    map.next_value_seed(Items(&mut *self.0))?;
                    listed = true;
                }
                Field::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        // What says nothing of objects does not say that there are none.
        if listed { Ok(meta) } else { Err(A::Error::missing_field("items")) }
    }
}

struct Items<'s, S>(&'s mut S);

impl<'de, S: FnMut(DynamicObject)> DeserializeSeed<'de> for Items<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de, S: FnMut(DynamicObject)> Visitor<'de> for Items<'_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the objects of a list")
    }

    // As Go writes an empty list.
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(Item(object)) = seq.next_element()? {
            (self.0)(object);
        }
        Ok(())
    }
}

/// An object, read once: its own `Deserialize` keeps all of it aside to look for fields that it knows.
struct Item(DynamicObject);

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Item;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item, A::Error> {
                let (mut api_version, mut kind, mut metadata, mut data) = (None, None, ObjectMeta::default(), Map::new());
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "apiVersion" => api_version = Some(map.next_value()?),
                        "kind" => kind = Some(map.next_value()?),
                        "metadata" => metadata = map.next_value()?,
                        _ => drop(data.insert(key, map.next_value()?)),
                    }
                }
                let types = api_version.zip(kind).map(|(api_version, kind)| TypeMeta { api_version, kind });
                Ok(Item(DynamicObject { types, metadata, data: Value::Object(data) }))
            }
        }
        from.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use kube::core::ObjectList;
    use serde_json::json;

    use super::*;

    fn told(text: &str) -> (Result<ListMeta, String>, Vec<DynamicObject>) {
        let mut objects = Vec::new();
        let meta = read(text, &mut |object| objects.push(object)).map_err(|e| e.to_string());
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
            let (meta, objects) = told(&list.to_string());
            assert_eq!((meta.unwrap(), objects), (theirs.metadata, theirs.items), "{list}");
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
