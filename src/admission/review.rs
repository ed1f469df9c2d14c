//! Bytes → envelope: the parts of an AdmissionReview that a decision reads, borrowed from the body in one pass.
//! The uid is looked for even in what cannot be understood, so that a refusal always comes under the request's own uid.
//! Shape: <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#webhook-request-and-response>.

use std::collections::BTreeMap;

use k8s_openapi::api::authentication::v1::UserInfo;
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, IgnoredAny, MapAccess},
};
use serde_json::{Value, value::RawValue};

use crate::controls::custom::Whole;
use crate::model::{
    read::once,
    subject::{Kind, Subject},
    text::{Str, shown},
};

/// What the API server asks.
#[derive(Debug)]
pub struct Request<'a> {
    /// Echoed in the answer.
    pub uid: Str<'a>,
    /// The kind as registered in our rules.
    pub kind: GroupKind<'a>,
    /// `ephemeralcontainers`, `resize`, `status`, `scale` … or empty.
    pub sub_resource: Str<'a>,
    /// Its namespace; empty for cluster-scoped kinds.
    pub namespace: Str<'a>,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub operation: Str<'a>,
    /// Who asks: whether a claim of parenthood can be believed, and whether a Waiver is asked for by its requester.
    pub username: Str<'a>,
    /// The object as it would be stored, where it is of a kind that is judged; absent on DELETE.
    pub subject: Option<Subject<'a>>,
    body: &'a str,
}

/// A group and kind.
#[derive(Debug, Deserialize)]
pub struct GroupKind<'a> {
    /// Empty for core.
    #[serde(borrow, default)]
    pub group: Str<'a>,
    /// `Deployment`.
    #[serde(borrow)]
    pub kind: Str<'a>,
}

/// The objects as they came.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Objects<'a> {
    /// As it would be stored.
    #[serde(borrow, default)]
    pub object: Option<&'a RawValue>,
    /// As stored; absent on CREATE.
    #[serde(borrow, default)]
    pub old_object: Option<&'a RawValue>,
}

impl<'a> Request<'a> {
    /// Finds the objects in the body again. Most requests never need it: a compliant one has been judged already.
    pub fn objects(&self) -> Objects<'a> {
        #[derive(Deserialize)]
        struct Review<'a> {
            #[serde(borrow)]
            request: Objects<'a>,
        }
        // The same bytes were read once; what could not be read now is as good as absent, and absent is refused.
        serde_json::from_str::<Review<'a>>(self.body).map(|r| r.request).unwrap_or_default()
    }
}

impl Request<'_> {
    /// Who asks, whole; read again, for only a declaration that weakens something needs it. Nobody where it cannot be read.
    pub fn user(&self) -> UserInfo {
        self.asked_for("userInfo").and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }

    /// The name of the object; empty on a CREATE that leaves it to the API server.
    pub fn name(&self) -> String {
        self.asked_for("name").and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }

    fn asked_for(&self, field: &str) -> Option<&RawValue> {
        self.fields().ok()?.into_iter().find(|(key, _)| &**key == field).map(|(_, raw)| raw)
    }

    fn fields(&self) -> serde_json::Result<BTreeMap<Str<'_>, &RawValue>> {
        #[derive(Deserialize)]
        struct Review<'a> {
            #[serde(borrow)]
            request: BTreeMap<Str<'a>, &'a RawValue>,
        }
        serde_json::from_str::<Review<'_>>(self.body).map(|review| review.request)
    }
}

/// What an expression may read of a request.
const ASKED: [&str; 6] = ["kind", "name", "namespace", "operation", "subResource", "userInfo"];

impl Request<'_> {
    /// The object and the request as trees, for controls of users' own.
    pub fn whole(&self) -> Result<Whole, &'static str> {
        let objects = self.objects();
        let old_object = objects.old_object.map_or(Ok(Value::Null), tree)?;
        Ok(Whole { object: objects.object.ok_or(UNREAD).and_then(tree)?, old_object, request: Some(self.asked()?) })
    }

    /// The same of what is stored already, as if it were new.
    pub fn whole_of_old(&self) -> Result<Whole, &'static str> {
        let object = self.objects().old_object.ok_or(UNREAD).and_then(tree)?;
        Ok(Whole { object, old_object: Value::Null, request: Some(self.asked()?) })
    }

    fn asked(&self) -> Result<Value, &'static str> {
        let fields = self.fields().map_err(|_| UNREAD)?.into_iter().filter(|(key, _)| ASKED.contains(&&**key));
        fields.map(|(key, raw)| Ok((key.to_string(), tree(raw)?))).collect::<Result<serde_json::Map<_, _>, _>>().map(Value::Object)
    }
}

/// It was read once already, as its kind; what cannot be read whole is Unknown to these controls.
const UNREAD: &str = "the whole object cannot be read";

fn tree(raw: &RawValue) -> Result<Value, &'static str> {
    serde_json::from_str(raw.get()).map_err(|_| UNREAD)
}

/// Why a body is not a review.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// No uid was found: HTTP 400, since nothing can be answered.
    #[error("not an AdmissionReview: {0}")]
    Anonymous(String),
    /// Refused under this uid.
    #[error("malformed review: {reason}")]
    Named {
        /// The request's uid.
        uid: String,
        /// What is wrong, and with what.
        reason: String,
    },
}

/// Reads a body.
///
/// # Errors
/// [`Malformed`], with the uid where one could be found.
pub fn parse(body: &[u8]) -> Result<Request<'_>, Malformed> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Review<'a> {
        #[serde(borrow)]
        api_version: Str<'a>,
        #[serde(borrow)]
        kind: Str<'a>,
        #[serde(borrow)]
        request: Request<'a>,
    }
    // Checked once as a whole: per string it costs more than the rest of the parsing.
    let body = std::str::from_utf8(body).map_err(|error| Malformed::Anonymous(error.to_string()))?;
    let reason = match serde_json::from_str::<Review<'_>>(body) {
        Ok(review) if &*review.api_version != "admission.k8s.io/v1" => format!("apiVersion {} is not admission.k8s.io/v1", shown(&review.api_version, 63)),
        Ok(review) if &*review.kind != "AdmissionReview" => format!("kind {} is not AdmissionReview", shown(&review.kind, 63)),
        Ok(review) if review.request.uid.is_empty() => return Err(Malformed::Anonymous("request.uid is empty".to_owned())),
        Ok(review) => return Ok(Request { body, ..review.request }),
        Err(error) => error.to_string(),
    };
    Err(nameless(body, reason))
}

/// Looks for nothing but the uid, and for the kind to say what is malformed.
fn nameless(body: &str, reason: String) -> Malformed {
    #[derive(Deserialize)]
    struct Review<'a> {
        #[serde(borrow)]
        request: Named<'a>,
    }
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        uid: Str<'a>,
    }
    match serde_json::from_str::<Review<'_>>(body) {
        Ok(review) if !review.request.uid.is_empty() && review.request.uid.len() <= 128 => Malformed::Named { uid: review.request.uid.to_string(), reason },
        _ => Malformed::Anonymous(reason),
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Request<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct User<'a> {
            #[serde(borrow)]
            username: Str<'a>,
        }
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Request<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an admission request")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut uid, mut kind, mut sub_resource, mut namespace, mut operation, mut user) = (None, None::<GroupKind<'de>>, None, None, None, None::<Option<User<'de>>>);
                let (mut seen, mut subject, mut raw) = (false, None, None::<&RawValue>);
                while let Some(key) = map.next_key::<Str<'de>>()? {
                    match &*key {
                        "uid" => once(&mut uid, &mut map, "uid")?,
                        "kind" => once(&mut kind, &mut map, "kind")?,
                        "subResource" => once(&mut sub_resource, &mut map, "subResource")?,
                        "namespace" => once(&mut namespace, &mut map, "namespace")?,
                        "operation" => once(&mut operation, &mut map, "operation")?,
                        "userInfo" => once(&mut user, &mut map, "userInfo")?,
                        "object" if std::mem::replace(&mut seen, true) => return Err(de::Error::duplicate_field("object")),
                        // The API server writes the kind first, and the object is read as that kind while the body is read.
                        "object" => match &kind {
                            Some(kind) => subject = map.next_value_seed(OfKind(kind))?,
                            None => raw = map.next_value()?,
                        },
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                let kind = kind.ok_or_else(|| de::Error::missing_field("kind"))?;
                if let Some(raw) = raw {
                    subject = OfKind(&kind).deserialize(raw).map_err(de::Error::custom)?;
                }
                Ok(Request {
                    uid: uid.ok_or_else(|| de::Error::missing_field("uid"))?,
                    kind,
                    sub_resource: sub_resource.flatten().unwrap_or_default(),
                    namespace: namespace.flatten().unwrap_or_default(),
                    operation: operation.ok_or_else(|| de::Error::missing_field("operation"))?,
                    username: user.flatten().unwrap_or_default().username,
                    subject,
                    body: "",
                })
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// Reads an object as a kind that is judged, or passes over one of another kind.
struct OfKind<'k, 'a>(&'k GroupKind<'a>);

impl<'de> DeserializeSeed<'de> for OfKind<'_, '_> {
    type Value = Option<Subject<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match Kind::find(&self.0.group, &self.0.kind) {
            Some(kind) => kind.deserialize(deserializer).map_err(|error| de::Error::custom(format_args!("{}: {error}", kind.lower()))),
            None => IgnoredAny::deserialize(deserializer).map(|_| None),
        }
    }
}
