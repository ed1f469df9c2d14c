//! Bytes → envelope: the parts of an AdmissionReview that a decision reads, borrowed from the body.
//! The uid is looked for first and apart, so that even a review that cannot be understood is refused under its own uid.
//! Shape: <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#webhook-request-and-response>.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::text::Str;

/// What the API server asks.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request<'a> {
    /// Echoed in the answer.
    #[serde(borrow)]
    pub uid: Str<'a>,
    /// The kind as registered in our rules.
    #[serde(borrow)]
    pub kind: GroupKind<'a>,
    /// `ephemeralcontainers`, `resize`, `status`, `scale` … or empty.
    #[serde(borrow, default)]
    pub sub_resource: Option<Str<'a>>,
    /// The object's name; empty while it is being generated.
    #[serde(borrow, default)]
    pub name: Option<Str<'a>>,
    /// Its namespace; empty for cluster-scoped kinds.
    #[serde(borrow, default)]
    pub namespace: Option<Str<'a>>,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    #[serde(borrow)]
    pub operation: Str<'a>,
    /// Who asks.
    #[serde(borrow, default)]
    pub user_info: User<'a>,
    /// The object as it would be stored; absent on DELETE.
    #[serde(borrow, default)]
    pub object: Option<&'a RawValue>,
    /// The object as stored; absent on CREATE.
    #[serde(borrow, default)]
    pub old_object: Option<&'a RawValue>,
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

/// Who asks. Read for one thing alone: whether a claim of parenthood can be believed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct User<'a> {
    /// Their name.
    #[serde(borrow)]
    pub username: Str<'a>,
}

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

/// Why a body is not a review.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// No uid was found: HTTP 400, since nothing can be answered.
    #[error("not an AdmissionReview: {0}")]
    Anonymous(String),
    /// Refused under this uid.
    #[error("malformed AdmissionReview: {reason}")]
    Named {
        /// The request's uid.
        uid: String,
        /// What is wrong.
        reason: String,
    },
}

/// Reads a body.
///
/// # Errors
/// [`Malformed`], with the uid where one could be found.
pub fn parse(body: &[u8]) -> Result<Request<'_>, Malformed> {
    #[derive(Deserialize)]
    struct Uid<'a> {
        #[serde(borrow)]
        uid: Str<'a>,
    }
    #[derive(Deserialize)]
    struct OnlyUid<'a> {
        #[serde(borrow)]
        request: Uid<'a>,
    }
    // Checked once as a whole: per string it costs more than the rest of the parsing.
    let body = std::str::from_utf8(body).map_err(|error| Malformed::Anonymous(error.to_string()))?;
    let reason = match serde_json::from_str::<Review<'_>>(body) {
        Ok(review) if review.api_version != "admission.k8s.io/v1".into() => format!("apiVersion {} is not admission.k8s.io/v1", crate::model::text::shown(&review.api_version, 63)),
        Ok(review) if review.kind != "AdmissionReview".into() => format!("kind {} is not AdmissionReview", crate::model::text::shown(&review.kind, 63)),
        Ok(review) if review.request.uid.is_empty() => return Err(Malformed::Anonymous("request.uid is empty".to_owned())),
        Ok(review) => return Ok(review.request),
        Err(error) => error.to_string(),
    };
    match serde_json::from_str::<OnlyUid<'_>>(body) {
        Ok(only) if !only.request.uid.is_empty() && only.request.uid.len() <= 128 => Err(Malformed::Named { uid: only.request.uid.to_string(), reason }),
        _ => Err(Malformed::Anonymous(reason)),
    }
}
