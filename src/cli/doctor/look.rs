//! What `demarc doctor` looks at in a cluster, by the user's own kubeconfig. It reads, and asks one question by dry run; it changes nothing.
//! What may not be read is told as such, and is neither well nor ill.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    authentication::v1::SelfSubjectReview,
    coordination::v1::{Lease, LeaseSpec},
};
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    api::{Declaration, ENROLLED_LABEL, ENROLLED_VALUE, GROUP},
    cli::connect::{asked, pages},
    controller::{
        install::SYSTEM_NAMESPACES,
        lease,
        probe::{self, Outcome},
    },
    model::proof::{LEASE, WEBHOOK},
};

/// Something that was looked at, or why it cannot be seen.
pub type Seen<T> = Result<T, String>;

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// The API server's version, and its minor number.
    pub version: (String, u32),
    /// Who asks.
    pub user: String,
    /// Definitions by kind; `None` is missing.
    pub definitions: BTreeMap<&'static str, Seen<Option<Value>>>,
    /// Webhook configurations that have a webhook of our name.
    pub webhooks: Seen<Vec<Value>>,
    /// Policies by name.
    pub policies: Seen<BTreeMap<String, Value>>,
    /// Their bindings.
    pub bindings: Seen<BTreeMap<String, Value>>,
    /// Ownerships, each with its namespace.
    pub ownerships: Seen<Vec<DynamicObject>>,
    /// Baselines.
    pub baselines: Seen<Vec<DynamicObject>>,
    /// Namespaces that carry the label.
    pub enrolled: Seen<Vec<String>>,
    /// The Lease of who leads; `None` is missing.
    pub lead: Seen<Option<Lease>>,
    /// The Lease of the last proof; `None` is missing.
    pub proof: Seen<Option<Lease>>,
    /// What one question by dry run came to, and where it was asked.
    pub tried: Option<(String, Outcome)>,
}

async fn call<T>(question: impl Future<Output = Result<T, kube::Error>>) -> Seen<T> {
    asked(question).await.map_err(|error| error.to_string())
}

fn resource(group: &str, version: &str, kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

async fn list(client: &Client, group: &str, version: &str, kind: &str, params: &ListParams) -> Seen<Vec<DynamicObject>> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource(group, version, kind));
    pages(&api, params).await.map_err(|error| error.to_string())
}

fn by_name(objects: Vec<DynamicObject>) -> BTreeMap<String, Value> {
    objects.into_iter().map(|object| (object.metadata.name.unwrap_or_default(), object.data)).collect()
}

/// Where the chart says to install it.
pub const HOME: &str = "demarc-system";

/// Where Demarc runs: the namespace of the webhook's Service; by URL, where `--local` keeps its Leases; `None` while that cannot be seen.
pub fn home(webhooks: &Seen<Vec<Value>>) -> Option<&str> {
    let entry = webhooks.as_ref().ok()?.first()?["webhooks"].as_array()?.iter().find(|w| w["name"] == WEBHOOK)?;
    Some(entry["clientConfig"]["service"]["namespace"].as_str().unwrap_or(SYSTEM_NAMESPACES[0]))
}

/// Looks at everything; `step` hears what is looked at.
///
/// # Errors
/// The API server cannot be reached, or does not let the user in.
pub async fn look(client: &Client, step: &mut dyn FnMut(&str)) -> anyhow::Result<Found> {
    step("the API server");
    let unreached = |why: String| anyhow::anyhow!("the API server cannot be asked: {why}; check KUBECONFIG and the network");
    let version = call(client.apiserver_version()).await.map_err(unreached)?;
    let minor = version.minor.trim_end_matches('+').parse().unwrap_or_default();
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = call(reviews.create(&PostParams::default(), &SelfSubjectReview::default())).await.map_err(unreached)?;
    let user = review.status.and_then(|s| s.user_info).and_then(|u| u.username).unwrap_or_default();

    step("custom resources");
    let crds: Api<DynamicObject> = Api::all_with(client.clone(), &resource("apiextensions.k8s.io", "v1", "CustomResourceDefinition"));
    let mut definitions = BTreeMap::new();
    for declaration in Declaration::ALL {
        let name = format!("{}.{GROUP}", declaration.plural());
        let found = call(crds.get_opt(&name)).await.map(|found| found.map(|object| object.data));
        definitions.insert(declaration.kind(), found);
    }

    step("webhook and policies");
    let admission = "admissionregistration.k8s.io";
    let all = ListParams::default();
    let ours = |object: &DynamicObject| object.data["webhooks"].as_array().is_some_and(|all| all.iter().any(|w| w["name"] == WEBHOOK));
    let whole = |object: &DynamicObject| serde_json::to_value(object).unwrap_or_default();
    let webhooks = list(client, admission, "v1", "ValidatingWebhookConfiguration", &all).await.map(|found| found.iter().filter(|o| ours(o)).map(whole).collect());
    let policies = list(client, admission, "v1", "ValidatingAdmissionPolicy", &all).await.map(by_name);
    let bindings = list(client, admission, "v1", "ValidatingAdmissionPolicyBinding", &all).await.map(by_name);

    step("namespaces");
    let ownerships = list(client, GROUP, "v1alpha1", "Ownership", &all).await;
    let baselines = list(client, GROUP, "v1alpha1", "Baseline", &all).await;
    let labelled = ListParams::default().labels(&format!("{ENROLLED_LABEL}={ENROLLED_VALUE}"));
    let enrolled = list(client, "", "v1", "Namespace", &labelled).await.map(|found| found.into_iter().filter_map(|o| o.metadata.name).collect::<Vec<_>>());

    step("who leads, and the proof of enforcement");
    let leases: Api<Lease> = Api::namespaced(client.clone(), home(&webhooks).unwrap_or(HOME));
    let lead = call(leases.get_opt(lease::NAME)).await;
    let proof = call(leases.get_opt(LEASE)).await;
    let tried = match enrolled.as_ref().ok().and_then(|e| e.first()) {
        Some(namespace) => Some((namespace.clone(), probe::ask(client, namespace, 0).await)),
        None => None,
    };
    Ok(Found { version: (version.git_version, minor), user, definitions, webhooks, policies, bindings, ownerships, baselines, enrolled, lead, proof, tried })
}

/// An object of ours as this version reads it.
pub fn read<K: DeserializeOwned>(object: &DynamicObject) -> Option<K> {
    serde_json::to_value(object).ok().and_then(|value| serde_json::from_value(value).ok())
}

/// When the last proof was, and for how long it counts.
pub fn proven(spec: Option<&LeaseSpec>) -> Option<(jiff::Timestamp, i64)> {
    let spec = spec?;
    Some((spec.renew_time.as_ref()?.0, i64::from(spec.lease_duration_seconds?)))
}
