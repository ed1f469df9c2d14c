//! `demarc cleanup`: what `helm uninstall` runs first, so that nothing of Demarc stays on what belongs to others.
//! It takes the Lease, so that no replica puts back what it takes away, and then removes its labels from every namespace, the gate's bindings and the
//! Controls of the catalog: Helm knows nothing of what the leader made, and keeps the definitions.

use std::io::Write;

use anyhow::Context;
use k8s_openapi::api::{
    admissionregistration::v1::ValidatingAdmissionPolicyBinding,
    coordination::v1::Lease,
    core::v1::{Namespace, Secret},
};
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::json;
use tokio::time::sleep;

use super::connect::{Unanswered, Where, asked, namespace_name};
use crate::{
    api::{Declaration, ENROLLED_LABEL, GROUP, MEMBER_PREFIX},
    controller::{
        install::{MANAGED_BY, MANAGER},
        lease,
    },
    model::text::shown,
};

/// Who holds the Lease meanwhile.
const HOLDER: &str = "cleanup";

const HELP: &str = "\
helm uninstall runs this as a hook. By hand, where the release was removed without hooks:
  demarc cleanup -n demarc-system

It takes away Demarc's labels on namespaces, the gate's bindings and the Controls of the catalog. Controls of your own, and all else that \
people declared, stay. It needs the rights of Demarc's own service account, or the verbs unenrol on namespaces.demarc.dev and release on \
baselines.demarc.dev; anybody else can delete the Controls of the catalog once the release's policies are gone. Running it twice does no harm.
A controller that still runs takes over again about ten seconds later.

Exit codes: 0 nothing is left, 2 something could not be removed: the error says what.";

/// Arguments of `demarc cleanup`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = HELP)]
pub struct Args {
    /// The namespace of the Lease and of --tls-secret
    #[arg(short, long, env = "POD_NAMESPACE", value_name = "NAMESPACE", default_value = "demarc-system", value_parser = namespace_name)]
    pub namespace: String,
    /// The Secret with the certificate authority that Demarc made; it is deleted too
    #[arg(long, value_name = "NAME")]
    pub tls_secret: Option<String>,
}

/// Removes it all; what is left to do is told as it is done.
///
/// # Errors
/// A call failed; what was removed before stays removed.
pub async fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<u8> {
    let client = Where { namespace: Some(args.namespace.clone()), context: None }.connect().await?.client;
    let leases: Api<Lease> = Api::namespaced(client.clone(), &args.namespace);
    if hold(&leases).await? {
        writeln!(out, "the Lease is held: waiting {} s for the last writes of the replica that led", lease::DEADLINE.as_secs())?;
        sleep(lease::DEADLINE / 2).await;
        hold(&leases).await?;
        sleep(lease::DEADLINE / 2).await;
    }
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let listed = asked(namespaces.list_metadata(&ListParams::default())).await.context("namespaces cannot be listed")?;
    let mut touched = 0;
    for meta in listed.items.iter().map(|n| &n.metadata) {
        let (name, labels) = (meta.name.as_deref().unwrap_or_default(), meta.labels.iter().flat_map(|l| l.keys()));
        let ours: Vec<&String> = labels.filter(|key| *key == ENROLLED_LABEL || key.starts_with(MEMBER_PREFIX)).collect();
        touched += usize::from(!ours.is_empty());
        for label in ours {
            // One by one: a person may take one Baseline's mark off in a request.
            let patch = Patch::Merge(json!({"metadata": {"labels": {label: null}}}));
            asked(namespaces.patch_metadata(name, &PatchParams::default(), &patch)).await.with_context(|| format!("namespace {name} keeps its label {label}"))?;
            writeln!(out, "namespace {name}: {}", if label == ENROLLED_LABEL { "no longer enrolled" } else { "no longer marked as under a Baseline" })?;
        }
    }
    if let Some(name) = &args.tls_secret {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), &args.namespace);
        match asked(secrets.delete(name, &DeleteParams::default())).await {
            Ok(_) => writeln!(out, "Secret {}: deleted", shown(name, 253))?,
            Err(Unanswered::Missing(_)) => {}
            Err(error) => return Err(error).with_context(|| format!("Secret {} cannot be deleted", shown(name, 253))),
        }
    }
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
    let names = made(&bindings, |_| true).await.context("the gate's bindings cannot be listed")?;
    let gates = names.len();
    remove(&bindings, "ValidatingAdmissionPolicyBinding", names).await?;
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, "v1alpha1", Declaration::Control.kind()), Declaration::Control.plural());
    let controls: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    // Whoever labels one of their own so keeps it.
    let names = made(&controls, |control| control.data["spec"]["check"] == "built-in").await.context("Controls cannot be listed")?;
    let published = names.len();
    remove(&controls, "Control", names).await?;
    if gates + published > 0 {
        writeln!(out, "deleted: {gates} bindings of the gate, {published} Controls of the catalog")?;
    }
    // The whole of its duration from here: the pods are told to go before it ends.
    hold(&leases).await?;
    writeln!(out, "done: {touched} namespaces")?;
    Ok(0)
}

/// The names of what the leader made of a kind; none where the kind is not served.
async fn made<K>(api: &Api<K>, of: impl Fn(&K) -> bool) -> Result<Vec<String>, Unanswered>
where
    K: kube::Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    match asked(api.list(&ListParams::default().labels(&format!("{MANAGED_BY}={MANAGER}")))).await {
        Ok(list) => Ok(list.items.into_iter().filter(|object| of(object)).filter_map(|object| object.meta().name.clone()).collect()),
        Err(Unanswered::Missing(_)) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

async fn remove<K>(api: &Api<K>, kind: &str, names: Vec<String>) -> anyhow::Result<()>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    for name in names {
        match asked(api.delete(&name, &DeleteParams::default())).await {
            Ok(_) | Err(Unanswered::Missing(_)) => {}
            Err(error) => return Err(error).with_context(|| format!("{kind} {} cannot be deleted", shown(&name, 253))),
        }
    }
    Ok(())
}

/// Takes the Lease from whoever has it; false where there is none, and so nobody leads.
async fn hold(leases: &Api<Lease>) -> anyhow::Result<bool> {
    let spec = json!({"spec": {"holderIdentity": HOLDER, "renewTime": k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime(jiff::Timestamp::now())}});
    match asked(leases.patch(lease::NAME, &PatchParams::default(), &Patch::Merge(&spec))).await {
        Ok(_) => Ok(true),
        Err(Unanswered::Missing(_)) => Ok(false),
        Err(error @ (Unanswered::Unreached(_) | Unanswered::Silent)) => Err(error.for_good()),
        Err(error) => Err(error).context("the Lease cannot be taken, and the replica that leads would put labels back"),
    }
}
