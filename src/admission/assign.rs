//! Asks the API server whether somebody holds the verb `assign`: the one request that a decision may cost, and only one about a declaration.
//! No answer within two seconds is no.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::{Api, Client, api::PostParams};

use super::guard::{ASSIGN, Appeal};
use crate::api::GROUP;

/// The API server waits 5 s for the webhook's own answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether the one who appeals holds the verb, or why that could not be asked.
pub type Held = Pin<Box<dyn Future<Output = Result<bool, &'static str>> + Send>>;
/// Whoever can tell.
pub type Assigns = Arc<dyn Fn(Appeal) -> Held + Send + Sync>;

/// Asks by this client.
pub fn by(client: Client) -> Assigns {
    Arc::new(move |appeal| Box::pin(ask(client.clone(), appeal)))
}

/// Where there is nobody to ask.
pub fn nobody() -> Assigns {
    Arc::new(|_| Box::pin(async { Err("there is nobody to ask") }))
}

async fn ask(client: Client, Appeal { user, resource, namespace, name }: Appeal) -> Result<bool, &'static str> {
    let attributes = ResourceAttributes {
        group: Some(GROUP.to_owned()),
        resource: Some(resource.to_owned()),
        verb: Some(ASSIGN.to_owned()),
        namespace: Some(namespace),
        name: Some(name),
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec {
        user: user.username,
        groups: user.groups,
        uid: user.uid,
        extra: user.extra,
        resource_attributes: Some(attributes),
        ..SubjectAccessReviewSpec::default()
    };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let reviews: Api<SubjectAccessReview> = Api::all(client);
    match tokio::time::timeout(PATIENCE, reviews.create(&PostParams::default(), &review)).await {
        Err(_) => Err("the API server did not say within 2 s"),
        Ok(Err(kube::Error::Api(status))) if status.code == 403 => Err("Demarc may not create subjectaccessreviews.authorization.k8s.io"),
        Ok(Err(_)) => Err("the API server could not be asked"),
        Ok(Ok(review)) => Ok(review.status.is_some_and(|s| s.allowed)),
    }
}
